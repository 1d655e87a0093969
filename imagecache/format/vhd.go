package format

import "encoding/binary"

// VHD as Microsoft's "Virtual Hard Disk Image Format Specification" describes it; all numbers are big endian. The
// footer is the last sector; dynamic and differencing disks carry a copy of it as their first.
const (
	vhdCookie      = "conectix"
	vhdSector      = 512
	vhdNoOffset    = 1<<64 - 1
	vhdFixed       = 2
	vhdDynamic     = 3
	vhdDiffering   = 4
	vhdHeaderSize  = 1024
	vhdParentNames = 512 // bytes of UTF-16
)

// matchVHD wants a copy of the footer in front, or a footer that is whole: eight letters at the end of a raw disk are
// not enough to call it a VHD.
func matchVHD(img *image) bool {
	return img.has(0, vhdCookie) || vhdSound(img.at(img.size-vhdSector, vhdSector))
}

// vhdSound reports whether a sector is a footer with a right checksum.
func vhdSound(b []byte) bool {
	if b == nil || string(b[:8]) != vhdCookie {
		return false
	}
	return binary.BigEndian.Uint32(b[64:]) == vhdChecksum(b, 64)
}

// vhdChecksum is the ones' complement of the sum of all bytes but the four at skip.
func vhdChecksum(b []byte, skip int) uint32 {
	var sum uint32
	for i, c := range b {
		if i < skip || i >= skip+4 {
			sum += uint32(c)
		}
	}
	return ^sum
}

func parseVHD(img *image) (Info, error) {
	foot := img.at(img.size-vhdSector, vhdSector)
	if img.has(0, vhdCookie) {
		foot = img.at(0, vhdSector)
	}
	if !vhdSound(foot) {
		return Info{}, malformed(VHD, "footer cut short or its checksum wrong")
	}
	be := binary.BigEndian
	info := Info{Format: VHD, VirtualSize: clampSize(be.Uint64(foot[48:]))}
	switch kind := be.Uint32(foot[60:]); kind {
	case vhdFixed:
		info.Variant = "fixed"
		if info.VirtualSize > img.size-vhdSector {
			info.Faults = append(info.Faults, "it is cut short")
		}
		return info, nil
	case vhdDynamic, vhdDiffering:
		return vhdDynamicHeader(img, be.Uint64(foot[16:]), kind, info)
	default:
		return Info{}, malformed(VHD, "disk type %d", kind)
	}
}

func vhdDynamicHeader(img *image, off uint64, kind uint32, info Info) (Info, error) {
	if off == vhdNoOffset || off > uint64(img.size) {
		return Info{}, malformed(VHD, "dynamic header outside the file")
	}
	b := img.at(int64(off), vhdHeaderSize)
	if b == nil || string(b[:8]) != "cxsparse" || binary.BigEndian.Uint32(b[36:]) != vhdChecksum(b, 36) {
		return Info{}, malformed(VHD, "dynamic header cut short or its checksum wrong")
	}
	be := binary.BigEndian
	info.Variant = "dynamic"
	info.ClusterSize = int64(be.Uint32(b[32:]))
	entries := uint64(be.Uint32(b[28:]))
	switch {
	case info.ClusterSize < vhdSector || info.ClusterSize&(info.ClusterSize-1) != 0 || info.ClusterSize > 256<<20:
		info.Faults = append(info.Faults, "its block size is impossible")
	case entries*uint64(info.ClusterSize) < uint64(info.VirtualSize):
		info.Faults = append(info.Faults, "its block table is too small for its size")
	}
	if !img.inside(be.Uint64(b[16:]), entries*4) {
		info.Faults = append(info.Faults, "its block table lies outside the file")
	}
	if kind == vhdDiffering {
		info.Variant = "differencing"
		info.References = append(info.References,
			Reference{Kind: Parent, Path: utf16Text(b[64:64+vhdParentNames], be), Format: string(VHD)})
	}
	return info, nil
}
