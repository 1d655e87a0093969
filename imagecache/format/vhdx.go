package format

import (
	"encoding/binary"
	"unicode/utf16"
)

// VHDX as [MS-VHDX] describes it; all numbers are little endian.
const (
	vhdxSignature    = "vhdxfile"
	vhdxHeaderOne    = 64 << 10
	vhdxHeaderTwo    = 128 << 10
	vhdxRegions      = 192 << 10
	vhdxMaxEntries   = 2047
	vhdxParameters   = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	vhdxMetadata     = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	vhdxDiskSize     = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	vhdxParent       = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"
	vhdxHasParent    = 1 << 1
	vhdxLeaveAlloc   = 1 << 0
	vhdxTableHeader  = 32
	vhdxRegionHeader = 16
)

func matchVHDX(img *image) bool { return img.has(0, vhdxSignature) }

func parseVHDX(img *image) (Info, error) {
	info := Info{Format: VHDX, Variant: "dynamic"}
	if vhdxDirty(img) {
		info.Faults = append(info.Faults, "its log was not replayed")
	}
	off, err := vhdxMetadataOffset(img)
	if err != nil {
		return Info{}, err
	}
	head := img.at(off, vhdxTableHeader)
	if head == nil || string(head[:8]) != "metadata" {
		return Info{}, malformed(VHDX, "metadata table not found")
	}
	count := int64(binary.LittleEndian.Uint16(head[10:]))
	if count > vhdxMaxEntries {
		return Info{}, malformed(VHDX, "%d metadata entries", count)
	}
	table := img.at(off+vhdxTableHeader, count*32)
	if table == nil {
		return Info{}, malformed(VHDX, "metadata table cut short")
	}
	if err := vhdxItems(img, off, table, &info); err != nil {
		return Info{}, err
	}
	if info.VirtualSize == 0 || info.ClusterSize == 0 {
		return Info{}, malformed(VHDX, "virtual size or block size missing")
	}
	return info, nil
}

// vhdxDirty reports whether the current header names a log, which a reader would have to write back first.
func vhdxDirty(img *image) bool {
	var newest uint64
	dirty := false
	for _, at := range []int64{vhdxHeaderOne, vhdxHeaderTwo} {
		h := img.at(at, 64)
		if h == nil || string(h[:4]) != "head" {
			continue
		}
		if seq := binary.LittleEndian.Uint64(h[8:]); seq >= newest {
			newest = seq
			dirty = string(h[48:64]) != string(make([]byte, 16))
		}
	}
	return dirty
}

// vhdxMetadataOffset finds the metadata region in the first region table.
func vhdxMetadataOffset(img *image) (int64, error) {
	head := img.at(vhdxRegions, vhdxRegionHeader)
	if head == nil || string(head[:4]) != "regi" {
		return 0, malformed(VHDX, "region table not found")
	}
	count := int64(binary.LittleEndian.Uint32(head[8:]))
	if count > vhdxMaxEntries {
		return 0, malformed(VHDX, "%d regions", count)
	}
	table := img.at(vhdxRegions+vhdxRegionHeader, count*32)
	for ; len(table) >= 32; table = table[32:] {
		off := binary.LittleEndian.Uint64(table[16:])
		if string(table[:16]) == vhdxMetadata && img.inside(off, vhdxTableHeader) {
			return int64(off), nil
		}
	}
	return 0, malformed(VHDX, "metadata region not found")
}

// vhdxItems reads the entries of the metadata table at base that matter.
func vhdxItems(img *image, base int64, table []byte, info *Info) error {
	le := binary.LittleEndian
	for ; len(table) >= 32; table = table[32:] {
		at := base + int64(le.Uint32(table[16:]))
		switch string(table[:16]) {
		case vhdxDiskSize:
			b := img.at(at, 8)
			if b == nil || info.VirtualSize != 0 {
				return malformed(VHDX, "virtual size cut short or given twice")
			}
			info.VirtualSize = clampSize(le.Uint64(b))
		case vhdxParameters:
			b := img.at(at, 8)
			if b == nil || info.ClusterSize != 0 {
				return malformed(VHDX, "file parameters cut short or given twice")
			}
			info.ClusterSize = int64(le.Uint32(b))
			if flags := le.Uint32(b[4:]); flags&vhdxHasParent != 0 {
				info.Variant = "differencing"
				info.References = append(info.References, Reference{Kind: Parent})
			} else if flags&vhdxLeaveAlloc != 0 {
				info.Variant = "fixed"
			}
		case vhdxParent:
			setReferencePath(info, Parent, "")
		}
	}
	return nil
}

// utf16Text decodes zero-padded UTF-16.
func utf16Text(b []byte, order binary.ByteOrder) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := order.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
