package configdrive

import (
	"bytes"
)

// Kinds of volume descriptor (ECMA-119 8.1.1).
const (
	primaryDescriptor       = 1
	supplementaryDescriptor = 2
	endOfDescriptors        = 255
)

// descriptor is the primary volume descriptor (ECMA-119 8.4). size is that of the volume in sectors.
func descriptor(d Drive, h *hierarchy, size uint32) []byte {
	text := func(s string, width int) []byte {
		return append([]byte(s), bytes.Repeat([]byte{' '}, width-len(s))...)
	}
	return volumeDescriptor(primaryDescriptor, d, h, size, text)
}

// jolietDescriptor is the supplementary volume descriptor of the Joliet hierarchy, whose texts are UTF-16.
func jolietDescriptor(d Drive, h *hierarchy, size uint32) []byte {
	text := func(s string, width int) []byte {
		out := utf16BE(s)
		out = out[:min(len(out), width&^1)]
		for len(out)+2 <= width {
			out = append(out, 0, ' ')
		}
		return out
	}
	out := volumeDescriptor(supplementaryDescriptor, d, h, size, text)
	copy(out[88:], "%/E") // UCS-2 level 3
	return out
}

func volumeDescriptor(kind byte, d Drive, h *hierarchy, size uint32, text func(string, int) []byte) []byte {
	out := make([]byte, sectorSize)
	out[0] = kind
	copy(out[1:], "CD001")
	out[6] = 1
	copy(out[8:], text("LINUX", 32))
	copy(out[40:], text(d.Label, 32))
	bothEndian32(out[80:], size)
	bothEndian16(out[120:], 1) // volumes in the set
	bothEndian16(out[124:], 1) // this is the first of them
	bothEndian16(out[128:], sectorSize)
	bothEndian32(out[132:], uint32(h.tableSize()))
	little.PutUint32(out[140:], h.littleTable)
	big.PutUint32(out[148:], h.bigTable)
	copy(out[156:], h.rootRecord())
	copy(out[190:], text("", 128))             // volume set
	copy(out[318:], text(d.Publisher, 128))    // publisher
	copy(out[446:], text("", 128))             // data preparer
	copy(out[574:], text("", 128))             // application
	copy(out[702:], text("", 37))              // copyright file
	copy(out[739:], text("", 37))              // abstract file
	copy(out[776:], text("", 37))              // bibliographic file
	copy(out[813:], descriptorTime(d.Created)) // creation
	copy(out[830:], descriptorTime(d.Created)) // modification
	copy(out[847:], unspecifiedTime)           // expiration
	copy(out[864:], unspecifiedTime)           // effective from
	out[881] = 1                               // version of the file structure
	return out
}

func terminator() []byte {
	return append([]byte{endOfDescriptors}, "CD001\x01"...)
}

// unspecifiedTime is the long form of no time.
const unspecifiedTime = "0000000000000000\x00"

// descriptorTime is the long form of a time (ECMA-119 8.4.26.1), in UTC.
func descriptorTime(t stamp) string {
	return t.UTC().Format("20060102150405") + "00\x00"
}
