package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// VMDK as VMware's "Virtual Disk Format 5.0" describes it. A monolithicSparse or streamOptimized disk is one file
// with a binary header and an embedded text descriptor; every other type names further files, and the descriptor may
// name any. All numbers are little endian; positions count sectors of 512 bytes.
const (
	vmdkSector        = 512
	vmdkMaxDescriptor = 1<<20 - 1 // QEMU reads no more
	vmdkDescriptorAt  = 1         // the sector where every writer puts the descriptor
	vmdkGDAtEnd       = 1<<64 - 1 // the header to believe is the one at the end of the file
	vmdkCompressed    = 1 << 16   // flags: grains are compressed
)

// Variants that keep all their data in the one file.
const (
	VMDKMonolithicSparse = "monolithicSparse"
	VMDKStreamOptimized  = "streamOptimized"
)

func matchVMDK(img *image) bool {
	if img.has(0, "KDMV") || img.has(0, "COWD") {
		return true
	}
	// A bare descriptor: QEMU skips comments and blank lines and then wants a version.
	head := img.at(0, min(img.size, 2048))
	return vmdkLooksLikeDescriptor(head)
}

// vmdkLooksLikeDescriptor is as forgiving as QEMU's probe: comment and blank lines, then "version=".
func vmdkLooksLikeDescriptor(head []byte) bool {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		trimmed := bytes.TrimLeft(line, " ")
		switch {
		case len(trimmed) == 0, trimmed[0] == '#':
			head = rest
		default:
			return bytes.HasPrefix(bytes.ToLower(trimmed), []byte("version="))
		}
	}
	return false
}

type vmdkHeader struct {
	version          uint32
	flags            uint32
	capacity         uint64
	grain            uint64
	descriptorAt     uint64
	descriptorLength uint64
	gtesPerGT        uint32
	gdOffset         uint64
}

func readVMDKHeader(b []byte) vmdkHeader {
	le := binary.LittleEndian
	return vmdkHeader{
		version:          le.Uint32(b[4:]),
		flags:            le.Uint32(b[8:]),
		capacity:         le.Uint64(b[12:]),
		grain:            le.Uint64(b[20:]),
		descriptorAt:     le.Uint64(b[28:]),
		descriptorLength: le.Uint64(b[36:]),
		gtesPerGT:        le.Uint32(b[44:]),
		gdOffset:         le.Uint64(b[56:]),
	}
}

func parseVMDK(img *image) (Info, error) {
	switch {
	case img.has(0, "COWD"):
		return Info{Format: VMDK, Variant: "vmfsSparse", VirtualSize: img.size,
			Faults: []string{"ESX sparse extents are not accepted"}}, nil
	case !img.has(0, "KDMV"):
		text := img.at(0, min(img.size, vmdkMaxDescriptor))
		info := Info{Format: VMDK, VirtualSize: img.size, Faults: []string{"it is a bare descriptor"}}
		d := parseVMDKDescriptor(text)
		info.Variant, info.References = d.createType, d.references()
		return info, nil
	}
	raw := img.at(0, vmdkSector)
	if raw == nil {
		return Info{}, malformed(VMDK, "header cut short")
	}
	h := readVMDKHeader(raw)
	if h.version < 1 || h.version > 3 {
		return Info{}, malformed(VMDK, "version %d", h.version)
	}
	if h.capacity > MaxVirtualSize/vmdkSector || h.grain == 0 || h.grain > 1<<20 {
		return Info{}, malformed(VMDK, "capacity of %d sectors in grains of %d", h.capacity, h.grain)
	}
	info := Info{
		Format:      VMDK,
		VirtualSize: int64(h.capacity * vmdkSector),
		ClusterSize: int64(h.grain * vmdkSector),
	}
	if h.flags&vmdkCompressed != 0 {
		info.Compression = "deflate"
	}
	if h.capacity == 0 {
		// QEMU then goes by the descriptor alone and opens the files it names.
		info.Faults = append(info.Faults, "its header states no capacity")
	}
	if h.gdOffset == vmdkGDAtEnd {
		info.Faults = append(info.Faults, vmdkFooter(img, h)...)
	}
	descriptor(img, h, &info)
	return info, nil
}

// vmdkFooter checks the copy of the header that a streamed disk ends with, which readers believe instead of the first
// one: only the position of its grain directory may differ.
func vmdkFooter(img *image, h vmdkHeader) []string {
	b := img.at(img.size-2*vmdkSector, vmdkSector)
	if b == nil || string(b[:4]) != "KDMV" {
		return []string{"its footer is missing"}
	}
	f := readVMDKHeader(b)
	if f.gdOffset == vmdkGDAtEnd || !img.inside(f.gdOffset, 0) || f.gdOffset > uint64(img.size)/vmdkSector {
		return []string{"its grain directory lies outside the file"}
	}
	f.gdOffset = h.gdOffset
	if f != h {
		return []string{"its footer contradicts its header"}
	}
	return nil
}

// descriptor reads the embedded descriptor and records what it says against the image.
func descriptor(img *image, h vmdkHeader, info *Info) {
	if h.descriptorAt != vmdkDescriptorAt || h.descriptorLength == 0 ||
		h.descriptorLength > vmdkMaxDescriptor/vmdkSector {
		info.Faults = append(info.Faults, "its descriptor is not where it belongs")
		return
	}
	text := img.at(vmdkSector, int64(h.descriptorLength)*vmdkSector)
	if text == nil {
		info.Faults = append(info.Faults, "its descriptor is cut short")
		return
	}
	d := parseVMDKDescriptor(text)
	info.Variant = d.createType
	info.Faults = append(info.Faults, d.faults...)
	if d.createType != VMDKMonolithicSparse && d.createType != VMDKStreamOptimized {
		info.Faults = append(info.Faults, fmt.Sprintf("its type %.32q keeps data in other files", d.createType))
	}
	if d.parent() {
		info.References = append(info.References, Reference{Kind: Parent, Path: d.fields["parentfilenamehint"]})
	}
	// The one extent of such a disk is the file itself, named by what it was called when written. A plain name is
	// that; a path, or a second extent, is not.
	if len(d.extents) != 1 {
		info.Faults = append(info.Faults, fmt.Sprintf("it has %d extents instead of itself alone", len(d.extents)))
	}
	for _, e := range d.extents {
		if e.kind != "sparse" || strings.ContainsAny(e.path, `/\`) || e.path == "" {
			info.References = append(info.References, Reference{Kind: Extent, Path: e.path, Format: e.kind})
		}
	}
}
