package disk

import (
	"encoding/binary"
	"fmt"
	"os"
)

// An empty qcow2 image (docs/interop/qcow2.txt of QEMU) is four small tables: header, refcount table, one refcount
// block, L1 table. Writing them here takes a hundredth of the time that qemu-img takes to start, at every boot, and
// opens no base.
const (
	qcow2HeaderLength = 104
	qcow2BackingExt   = 0xe2792aca
	qcow2MaxName      = 1023
	qcow2MaxL1        = 32 << 20 // bytes; QEMU opens no more
	qcow2Cluster      = 64 << 10 // QEMU's own default
	qcow2MaxCluster   = 2 << 20
)

// emptyQCOW2 describes an image without data of its own.
type emptyQCOW2 struct {
	size          int64 // bytes the guest sees
	cluster       int64 // bytes, a power of two; raised where the tables would not fit
	backing       string
	backingFormat string
}

// write writes the image to an empty file.
func (q emptyQCOW2) write(path string) error {
	if len(q.backing) > qcow2MaxName {
		return fmt.Errorf("name of the backing file is longer than %d bytes", qcow2MaxName)
	}
	if q.cluster == 0 {
		q.cluster = qcow2Cluster
	}
	q.size = ceil(q.size, 512) * 512 // a disk is whole sectors
	for !q.fits() {
		if q.cluster *= 2; q.cluster > qcow2MaxCluster {
			return fmt.Errorf("no qcow2 image can have %d bytes", q.size)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, part := range []struct {
		cluster int64
		data    []byte
	}{{0, q.header()}, {1, q.refcountTable()}, {2, q.refcountBlock()}} {
		if _, err := f.WriteAt(part.data, part.cluster*q.cluster); err != nil {
			return err
		}
	}
	return f.Truncate(q.clusters() * q.cluster) // the L1 table is zeros
}

// l1 returns the number of entries of the L1 table.
func (q emptyQCOW2) l1() int64 { return ceil(q.size, q.cluster/8*q.cluster) }

// clusters returns how many clusters the file has: three, and the L1 table.
func (q emptyQCOW2) clusters() int64 { return 3 + max(1, ceil(q.l1()*8, q.cluster)) }

// fits reports whether the header fits its cluster and one refcount block counts all clusters.
func (q emptyQCOW2) fits() bool {
	return int64(len(q.header())) <= q.cluster && q.clusters() <= q.cluster/2 && q.l1()*8 <= qcow2MaxL1
}

func (q emptyQCOW2) header() []byte {
	be := binary.BigEndian
	h := make([]byte, qcow2HeaderLength)
	copy(h, "QFI\xfb")
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[20:], bitsOf(q.cluster))
	be.PutUint64(h[24:], uint64(q.size))
	be.PutUint32(h[36:], uint32(q.l1()))
	be.PutUint64(h[40:], uint64(3*q.cluster)) // L1 table
	be.PutUint64(h[48:], uint64(q.cluster))   // refcount table
	be.PutUint32(h[56:], 1)                   // its clusters
	be.PutUint32(h[96:], 4)                   // refcounts of 1<<4 bits
	be.PutUint32(h[100:], qcow2HeaderLength)
	if q.backing == "" {
		return append(h, make([]byte, 8)...) // no extensions
	}
	h = be.AppendUint32(h, qcow2BackingExt)
	h = be.AppendUint32(h, uint32(len(q.backingFormat)))
	h = append(h, q.backingFormat...)
	h = append(h, make([]byte, (8-len(h)%8)%8+8)...) // padding, end of the extensions
	be.PutUint64(h[8:], uint64(len(h)))
	be.PutUint32(h[16:], uint32(len(q.backing)))
	return append(h, q.backing...)
}

func (q emptyQCOW2) refcountTable() []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(2*q.cluster))
}

// refcountBlock counts each cluster once.
func (q emptyQCOW2) refcountBlock() []byte {
	var b []byte
	for range q.clusters() {
		b = binary.BigEndian.AppendUint16(b, 1)
	}
	return b
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

func bitsOf(cluster int64) uint32 {
	n := uint32(0)
	for ; cluster > 1; cluster >>= 1 {
		n++
	}
	return n
}
