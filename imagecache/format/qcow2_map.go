package format

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Entries of qcow2's tables.
const (
	qcow2OffsetMask = 0x00fffffffffffe00
	qcow2Compressed = 1 << 62
	qcow2ZeroFlag   = 1 << 0

	// deflateLimit is the most that deflate can expand anything.
	deflateLimit = 1032
)

// Allocated returns how many bytes of a safe qcow2 image's disk hold data: what a conversion to raw has to write. It
// reads the image's tables (8 bytes per cluster of the disk) and refuses, with an *ErrUnsafe, an image that would
// expand beyond what its bytes can hold, which takes clusters that are used more than once: a bomb.
func Allocated(r io.ReaderAt, size int64) (int64, error) {
	img := &image{r: r, size: size}
	if !matchQCOW2(img) {
		return 0, malformed(QCOW2, "magic number missing")
	}
	h, err := readQCOW2Header(img)
	if err != nil {
		return 0, err
	}
	if h.clusterBits < 9 || h.clusterBits > 21 || uint64(h.l1Entries)*8 > qcow2MaxL1Bytes {
		return 0, malformed(QCOW2, "impossible tables")
	}
	m := qcow2Map{img: img, header: h, cluster: 1 << h.clusterBits, seen: make([]uint64, size>>h.clusterBits/64+1)}
	if err := m.walk(); err != nil {
		return 0, err
	}
	if img.err != nil {
		return 0, fmt.Errorf("read image: %w", img.err)
	}
	return m.plain + m.compressed, nil
}

type qcow2Map struct {
	img               *image
	header            qcow2Header
	cluster           int64
	seen              []uint64 // a bit per cluster of the file: L2 tables met
	plain, compressed int64    // guest bytes
}

func (m *qcow2Map) walk() error {
	const chunk = 1 << 16 // L1 entries read at a time
	for i := int64(0); i < int64(m.header.l1Entries); i += chunk {
		n := min(chunk, int64(m.header.l1Entries)-i)
		table := m.img.at(clampSize(m.header.l1Offset)+i*8, n*8)
		if table == nil {
			return m.unsafe("its L1 table lies outside the file")
		}
		for ; len(table) > 0; table = table[8:] {
			off := binary.BigEndian.Uint64(table) & qcow2OffsetMask
			if off == 0 {
				continue
			}
			if err := m.table(off); err != nil {
				return err
			}
		}
	}
	return nil
}

// table counts what one L2 table maps.
func (m *qcow2Map) table(off uint64) error {
	table := m.img.at(clampSize(off), m.cluster)
	if table == nil || off%uint64(m.cluster) != 0 {
		return m.unsafe("a cluster table lies outside the file")
	}
	number := off / uint64(m.cluster)
	if m.seen[number/64]&(1<<(number%64)) != 0 {
		return m.unsafe("two parts of its disk share one table")
	}
	m.seen[number/64] |= 1 << (number % 64)
	entry := 8
	if m.header.incompatible&qcow2IncompatExtendedL2 != 0 {
		entry = 16
	}
	for ; len(table) >= entry; table = table[entry:] {
		v := binary.BigEndian.Uint64(table)
		switch {
		case v&qcow2Compressed != 0:
			m.compressed += m.cluster
		case v&qcow2OffsetMask == 0 || entry == 8 && v&qcow2ZeroFlag != 0:
		case !m.img.inside(v&qcow2OffsetMask, 1):
			return m.unsafe("a cluster lies outside the file")
		default:
			m.plain += m.cluster
		}
	}
	if m.plain > m.img.size+m.cluster || m.compressed/m.limit() > m.img.size {
		return m.unsafe("its data would expand beyond what the file can hold")
	}
	return nil
}

// limit is the most that compressed data can expand: deflate has one of its own, zstd needs at least 8 bytes a cluster.
func (m *qcow2Map) limit() int64 {
	if m.header.incompatible&qcow2IncompatCompression != 0 {
		return m.cluster / 8
	}
	return deflateLimit
}

func (m *qcow2Map) unsafe(reason string) error {
	return &ErrUnsafe{Format: QCOW2, Reasons: []string{reason}}
}
