package imagecache

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"strings"

	"bolide/imagecache/disk"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"
)

// ErrDamaged reports a cached file that is not what it was when it was fetched.
var ErrDamaged = errors.New("cached file is damaged")

// ErrUnverifiable reports a cached file of which nothing is known to compare it with.
var ErrUnverifiable = errors.New("nothing is known to verify the cached file with")

// Verify reads a cached file to its end and compares it with what was fetched: nil when it is the same, ErrDamaged
// when not, ErrUnverifiable for a file that came from elsewhere, os.ErrNotExist when there is none. The file is pinned
// meanwhile, and read in the idle I/O class; p is called from one goroutine.
func (c *Cache) Verify(ctx context.Context, name string, p Progress) error {
	if !cacheName(name) {
		return os.ErrNotExist
	}
	defer c.pin(name)()
	f, rec, err := c.openRecorded(name)
	if err != nil {
		return err
	}
	defer f.Close()
	progress := func(done int64) {
		if p != nil {
			p(done, rec.Size)
		}
	}
	return disk.Background(func() error { return compare(ctx, f, rec, progress) })
}

// compare reads a cached file and says whether it is what its record tells of.
func compare(ctx context.Context, f *os.File, rec record, progress func(done int64)) (err error) {
	var got, want string
	switch {
	case rec.Digest != "":
		want = rec.Digest
		got, err = digestData(ctx, f, rec.Size, progress)
	case rec.HashValue != "" && rec.Format == rec.sourceQEMU():
		want = strings.ToLower(rec.HashValue)
		got, err = hashAll(ctx, f, rec, progress)
	default:
		return ErrUnverifiable
	}
	if err == nil && got != want {
		err = ErrDamaged
	}
	return err
}

// openRecorded opens a cached file with its record.
func (c *Cache) openRecorded(name string) (*os.File, record, error) {
	f, err := os.Open(c.path(name))
	if err != nil {
		return nil, record{}, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, record{}, err
	}
	rec := c.readRecord(name, st)
	rec.Size = st.Size()
	return f, rec, nil
}

// digestLater computes the digest of a converted file beside other work, for Verify: the image service's hash is of
// the bytes before conversion. Nothing waits for it but Close, which ends it.
func (c *Cache) digestLater(name string) {
	unpin := c.pin(name)
	c.wg.Go(func() {
		defer unpin()
		if err := c.addDigest(c.ctx, name); err != nil && c.ctx.Err() == nil {
			c.opts.Log.WithError(err).WithField("path", c.path(name)).Warn("no digest of a cached file for later verification")
		}
	})
}

func (c *Cache) addDigest(ctx context.Context, name string) error {
	release, err := c.opts.Tool.Slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	f, rec, err := c.openRecorded(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if rec.Format == "" {
		return ErrUnverifiable
	}
	err = disk.Background(func() (err error) {
		rec.Digest, err = digestData(ctx, f, rec.Size, func(int64) {})
		return err
	})
	if err != nil {
		return err
	}
	return c.writeRecord(name, rec)
}

// hashAll hashes a file as the image service did.
func hashAll(ctx context.Context, f *os.File, rec record, progress func(int64)) (string, error) {
	h := newHash(rec.HashAlgo)
	if h == nil {
		return "", ErrUnverifiable
	}
	done := int64(0)
	count := writerFunc(func(p []byte) { done += int64(len(p)); progress(done) })
	if err := replay(ctx, io.MultiWriter(h, count), f, rec.Size); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

type writerFunc func(p []byte)

func (w writerFunc) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// digestData is the XXH64 over a file's blocks of sparseBlock bytes that are not all zeros, each preceded by its
// number. It finds damage, not malice, and is quick on a file that is mostly holes.
func digestData(ctx context.Context, f *os.File, size int64, progress func(done int64)) (string, error) {
	h := xxhash.New()
	buf := make([]byte, sparseBlock)
	for off := int64(0); off < size; {
		data, err := nextData(f, off, size)
		if err != nil {
			return "", err
		}
		if off = data &^ (sparseBlock - 1); off >= size {
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
	return "xxh64:" + hex.EncodeToString(h.Sum(nil)), nil
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
