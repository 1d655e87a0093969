package format

import "encoding/binary"

// QED (docs/interop/qed_spec.txt of QEMU; little endian) was never handed out by an image service. It is recognised
// because QEMU's probing opens it, and follows its backing file.
const qedBackingFile = 1 << 0

func matchQED(img *image) bool { return img.has(0, "QED\x00") }

func parseQED(img *image) (Info, error) {
	b := img.at(0, 64)
	if b == nil {
		return Info{}, malformed(QED, "header cut short")
	}
	le := binary.LittleEndian
	info := Info{
		Format:      QED,
		VirtualSize: clampSize(le.Uint64(b[48:])),
		ClusterSize: int64(le.Uint32(b[4:])),
		Faults:      []string{"format not accepted"},
	}
	if le.Uint64(b[16:])&qedBackingFile != 0 {
		name := qcow2Name(img, uint64(le.Uint32(b[56:])), le.Uint32(b[60:]))
		info.References = append(info.References, Reference{Kind: Backing, Path: name})
	}
	return info, nil
}
