package format

import "encoding/binary"

// qcow2 as docs/interop/qcow2.txt of QEMU describes it; all numbers are big endian.
const (
	qcowMagic = "QFI\xfb"

	qcow2IncompatDirty       = 1 << 0
	qcow2IncompatCorrupt     = 1 << 1
	qcow2IncompatDataFile    = 1 << 2
	qcow2IncompatCompression = 1 << 3
	qcow2IncompatExtendedL2  = 1 << 4
	qcow2IncompatKnown       = 1<<5 - 1

	qcow2ExtEnd           = 0
	qcow2ExtBackingFormat = 0xe2792aca
	qcow2ExtDataFile      = 0x44415441
	qcow2ExtCrypto        = 0x0537be77

	qcow2MaxL1Bytes  = 32 << 20 // the limits of QEMU's own driver
	qcow2MaxRefBytes = 8 << 20
	qcow2MaxNames    = 1023    // longest file name in a header
	qcow2MaxHeader   = 4096    // longest header length taken as sane; version 3 uses 104 or 112
	qcow2MaxHeadread = 2 << 20 // one cluster of the largest size
)

func matchQCOW2(img *image) bool {
	h := img.at(0, 8)
	return h != nil && string(h[:4]) == qcowMagic && binary.BigEndian.Uint32(h[4:]) != 1
}

func matchQCOW1(img *image) bool { return img.has(0, qcowMagic+"\x00\x00\x00\x01") }

func parseQCOW1(img *image) (Info, error) {
	h := img.at(0, 48)
	if h == nil {
		return Info{}, malformed(QCOW1, "header cut short")
	}
	info := Info{
		Format:      QCOW1,
		VirtualSize: clampSize(binary.BigEndian.Uint64(h[24:])),
		Encrypted:   binary.BigEndian.Uint32(h[36:]) != 0,
		Faults:      []string{"format not accepted"},
	}
	if off := binary.BigEndian.Uint64(h[8:]); off != 0 {
		name := qcow2Name(img, off, binary.BigEndian.Uint32(h[16:]))
		info.References = append(info.References, Reference{Kind: Backing, Path: name})
	}
	return info, nil
}

// qcow2Header holds the fields that matter here.
type qcow2Header struct {
	version       uint32
	backingOffset uint64
	backingSize   uint32
	clusterBits   uint32
	size          uint64
	cryptMethod   uint32
	l1Entries     uint32
	l1Offset      uint64
	refOffset     uint64
	refClusters   uint32
	snapshots     uint32
	snapOffset    uint64
	incompatible  uint64
	refcountOrder uint32
	headerLength  uint32
	compression   byte
}

func readQCOW2Header(img *image) (qcow2Header, error) {
	b := img.at(0, 72)
	if b == nil {
		return qcow2Header{}, malformed(QCOW2, "header cut short")
	}
	be := binary.BigEndian
	h := qcow2Header{
		version:       be.Uint32(b[4:]),
		backingOffset: be.Uint64(b[8:]),
		backingSize:   be.Uint32(b[16:]),
		clusterBits:   be.Uint32(b[20:]),
		size:          be.Uint64(b[24:]),
		cryptMethod:   be.Uint32(b[32:]),
		l1Entries:     be.Uint32(b[36:]),
		l1Offset:      be.Uint64(b[40:]),
		refOffset:     be.Uint64(b[48:]),
		refClusters:   be.Uint32(b[56:]),
		snapshots:     be.Uint32(b[60:]),
		snapOffset:    be.Uint64(b[64:]),
		refcountOrder: 4,
		headerLength:  72,
	}
	switch h.version {
	case 2:
		return h, nil
	case 3:
	default:
		return h, malformed(QCOW2, "version %d", h.version)
	}
	b = img.at(72, 32)
	if b == nil {
		return h, malformed(QCOW2, "header cut short")
	}
	h.incompatible = be.Uint64(b[0:])
	h.refcountOrder = be.Uint32(b[24:])
	h.headerLength = be.Uint32(b[28:])
	if h.headerLength < 104 || h.headerLength > qcow2MaxHeader || h.headerLength%8 != 0 {
		return h, malformed(QCOW2, "header length %d", h.headerLength)
	}
	if h.headerLength > 104 {
		if c := img.at(104, 1); c != nil {
			h.compression = c[0]
		}
	}
	return h, nil
}

func parseQCOW2(img *image) (Info, error) {
	h, err := readQCOW2Header(img)
	if err != nil {
		return Info{}, err
	}
	if h.clusterBits < 9 || h.clusterBits > 21 {
		return Info{}, malformed(QCOW2, "cluster bits %d", h.clusterBits)
	}
	info := Info{
		Format:      QCOW2,
		Variant:     map[uint32]string{2: "v2", 3: "v3"}[h.version],
		VirtualSize: clampSize(h.size),
		ClusterSize: 1 << h.clusterBits,
		Encrypted:   h.cryptMethod != 0,
		Snapshots:   int(min(h.snapshots, 1<<30)),
		Compression: "zlib",
	}
	fault := func(bad bool, reason string) {
		if bad {
			info.Faults = append(info.Faults, reason)
		}
	}
	fault(h.incompatible&^qcow2IncompatKnown != 0, "it needs features that are not known")
	fault(h.incompatible&qcow2IncompatCorrupt != 0, "it is marked corrupt")
	fault(h.refcountOrder > 6, "its refcount width is impossible")
	if h.incompatible&qcow2IncompatCompression != 0 {
		info.Compression = "zstd"
		fault(h.compression != 1, "its compression type is not known")
	} else {
		fault(h.compression != 0, "its compression type contradicts its features")
	}
	if h.incompatible&qcow2IncompatDataFile != 0 {
		info.References = append(info.References, Reference{Kind: DataFile})
	}
	if h.backingOffset != 0 {
		name := qcow2Name(img, h.backingOffset, h.backingSize)
		info.References = append(info.References, Reference{Kind: Backing, Path: name})
	}
	info.Faults = append(info.Faults, qcow2Tables(img, h)...)
	info.Faults = append(info.Faults, qcow2Extensions(img, h, &info)...)
	return info, nil
}

// qcow2Tables checks that what the header points at lies in the file and is as large as the disk needs.
func qcow2Tables(img *image, h qcow2Header) (faults []string) {
	cluster := uint64(1) << h.clusterBits
	entry := uint64(8)
	if h.incompatible&qcow2IncompatExtendedL2 != 0 {
		entry = 16
	}
	perL1 := cluster / entry * cluster // guest bytes under one L1 entry
	l1Bytes := uint64(h.l1Entries) * 8
	needed := h.size / perL1
	if h.size%perL1 != 0 {
		needed++
	}
	switch {
	case l1Bytes > qcow2MaxL1Bytes:
		faults = append(faults, "its L1 table is too large")
	case uint64(h.l1Entries) < needed:
		faults = append(faults, "its L1 table is too small for its size")
	case h.l1Entries > 0 && (h.l1Offset%cluster != 0 || !img.inside(h.l1Offset, l1Bytes)):
		faults = append(faults, "its L1 table lies outside the file")
	}
	// The refcount table's last cluster may be cut short by the end of the file, its start may not.
	refBytes := uint64(h.refClusters) * cluster
	if refBytes == 0 || refBytes > qcow2MaxRefBytes || h.refOffset%cluster != 0 || !img.inside(h.refOffset, 8) {
		faults = append(faults, "its refcount table lies outside the file")
	}
	if h.snapshots > 0 && !img.inside(h.snapOffset, uint64(h.snapshots)*40) {
		faults = append(faults, "its snapshot table lies outside the file")
	}
	return faults
}

// qcow2Extensions walks the header extensions, which lie between the header and the end of the first cluster (or the
// backing file's name), and completes the references in info with what they say.
func qcow2Extensions(img *image, h qcow2Header, info *Info) (faults []string) {
	end := min(uint64(1)<<h.clusterBits, qcow2MaxHeadread, uint64(img.size))
	if h.backingOffset > uint64(h.headerLength) && h.backingOffset < end {
		end = h.backingOffset
	}
	for off := uint64(h.headerLength); off+8 <= end; {
		b := img.at(int64(off), 8)
		if b == nil {
			break
		}
		kind, length := binary.BigEndian.Uint32(b), uint64(binary.BigEndian.Uint32(b[4:]))
		off += 8
		if kind == qcow2ExtEnd {
			return faults
		}
		if length > end-off {
			return append(faults, "a header extension is longer than the header")
		}
		switch kind {
		case qcow2ExtBackingFormat:
			setReferenceFormat(info, Backing, string(img.at(int64(off), int64(min(length, 64)))))
		case qcow2ExtDataFile:
			setReferencePath(info, DataFile, string(img.at(int64(off), int64(min(length, qcow2MaxNames)))))
		case qcow2ExtCrypto:
			info.Encrypted = true
		}
		off += (length + 7) &^ 7
	}
	return faults
}

// setReferenceFormat records the format claimed for a reference; a claim about a file that is not there is nothing.
func setReferenceFormat(info *Info, kind ReferenceKind, format string) {
	for i := range info.References {
		if info.References[i].Kind == kind {
			info.References[i].Format = format
		}
	}
}

// setReferencePath records a path found apart from the flag that makes it count; without the flag it still counts,
// since readers differ in whether they ask for it.
func setReferencePath(info *Info, kind ReferenceKind, path string) {
	for i := range info.References {
		if info.References[i].Kind == kind {
			info.References[i].Path = path
			return
		}
	}
	info.References = append(info.References, Reference{Kind: kind, Path: path})
}

// qcow2Name reads a file name from the header, or "" when it is not inside the file.
func qcow2Name(img *image, off uint64, length uint32) string {
	if off > uint64(img.size) {
		return ""
	}
	return string(img.at(int64(off), int64(min(length, qcow2MaxNames))))
}

// clampSize turns a size from a file into an int64, keeping what does not fit impossible instead of negative.
func clampSize(v uint64) int64 {
	return int64(min(v, 1<<63-1))
}
