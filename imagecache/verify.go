package imagecache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrDamaged reports a cached file that is not what it was when it was fetched.
var ErrDamaged = errors.New("cached file is damaged")

// ErrUnverifiable reports a cached file of which nothing is known to compare it with.
var ErrUnverifiable = errors.New("nothing is known to verify the cached file with")

// Verify reads a cached file to its end and compares it with what was fetched: nil when it is the same, ErrDamaged
// when not, ErrUnverifiable for a file that came from elsewhere. It is pinned meanwhile.
func (c *Cache) Verify(ctx context.Context, name string, p Progress) error {
	if !cacheName(name) {
		return os.ErrNotExist
	}
	c.mu.Lock()
	c.entryLocked(name).leases++
	c.mu.Unlock()
	defer c.unpin(name)
	f, err := os.Open(c.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	rec := c.readRecord(name, st)
	if rec.Digest == "" {
		return ErrUnverifiable
	}
	got, err := digestFile(ctx, f, st.Size(), func(done int64) {
		if p != nil {
			p(done, st.Size())
		}
	})
	if err != nil {
		return err
	}
	if got != rec.Digest {
		return ErrDamaged
	}
	return nil
}

// digestFile is the SHA-256 over a file's blocks of sparseBlock bytes that are not all zeros, each preceded by its
// number: the same for a file with its holes filled, and quick for one that is mostly holes.
func digestFile(ctx context.Context, f *os.File, size int64, progress func(done int64)) (string, error) {
	h := sha256.New()
	buf := make([]byte, sparseBlock)
	for off := int64(0); off < size; {
		data, err := nextData(f, off, size)
		if err != nil {
			return "", err
		}
		off = data &^ (sparseBlock - 1)
		if off >= size {
			break
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n := min(sparseBlock, size-off)
		if _, err := f.ReadAt(buf[:n], off); err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		hashBlock(h, off/sparseBlock, buf[:n])
		off += n
		progress(off)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashBlock adds one block unless it is zeros.
func hashBlock(h hash.Hash, number int64, block []byte) {
	if isZero(block) {
		return
	}
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(number))
	h.Write(n[:])
	h.Write(block)
}

// nextData returns where the next data at or after off begins, or size when only a hole is left.
func nextData(f *os.File, off, size int64) (int64, error) {
	data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, nil
	}
	return data, err
}
