package format

import "encoding/binary"

// VDI as VirtualBox writes it (block/vdi.c of QEMU has the layout); all numbers are little endian.
const (
	vdiMagic       = 0xbeda107f
	vdiHeaderSize  = 512
	vdiVersion     = 0x00010001
	vdiDynamic     = 1
	vdiFixed       = 2
	vdiMaxBlocks   = 0x3fffffff
	vdiNoParentLen = 16
)

func matchVDI(img *image) bool {
	b := img.at(64, 4)
	return b != nil && binary.LittleEndian.Uint32(b) == vdiMagic
}

func parseVDI(img *image) (Info, error) {
	b := img.at(0, vdiHeaderSize)
	if b == nil {
		return Info{}, malformed(VDI, "header cut short")
	}
	le := binary.LittleEndian
	if v := le.Uint32(b[68:]); v != vdiVersion {
		return Info{}, malformed(VDI, "version %#x", v)
	}
	info := Info{
		Format:      VDI,
		VirtualSize: clampSize(le.Uint64(b[368:])),
		ClusterSize: int64(le.Uint32(b[376:])),
	}
	switch kind := le.Uint32(b[76:]); kind {
	case vdiDynamic:
		info.Variant = "dynamic"
	case vdiFixed:
		info.Variant = "fixed"
	default:
		info.Variant = "differencing"
		info.References = append(info.References, Reference{Kind: Parent})
	}
	// A linked or parent identifier makes it a difference whatever its type says.
	for _, at := range []int{424, 440} {
		if info.Variant != "differencing" && string(b[at:at+vdiNoParentLen]) != string(make([]byte, vdiNoParentLen)) {
			info.References = append(info.References, Reference{Kind: Parent})
		}
	}
	blocks := uint64(le.Uint32(b[384:]))
	switch {
	case info.ClusterSize != 1<<20:
		info.Faults = append(info.Faults, "its block size is not 1 MiB")
	case blocks > vdiMaxBlocks || blocks<<20 < uint64(info.VirtualSize):
		info.Faults = append(info.Faults, "its block table does not fit its size")
	case !img.inside(uint64(le.Uint32(b[340:])), blocks*4):
		info.Faults = append(info.Faults, "its block table lies outside the file")
	}
	return info, nil
}
