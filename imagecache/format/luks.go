package format

import "encoding/binary"

// LUKS version 1 and 2 (the cryptsetup project's on-disk format papers; big endian).
func matchLUKS(img *image) bool { return img.has(0, "LUKS\xba\xbe") }

func parseLUKS(img *image) (Info, error) {
	b := img.at(0, 112)
	if b == nil {
		return Info{}, malformed(LUKS, "header cut short")
	}
	be := binary.BigEndian
	info := Info{Format: LUKS, Encrypted: true, VirtualSize: img.size}
	switch v := be.Uint16(b[6:]); v {
	case 1:
		info.Variant = "v1"
		if payload := uint64(be.Uint32(b[104:])) * 512; payload <= uint64(img.size) {
			info.VirtualSize = img.size - int64(payload)
		}
	case 2:
		info.Variant = "v2"
	default:
		return Info{}, malformed(LUKS, "version %d", v)
	}
	return info, nil
}
