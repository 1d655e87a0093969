package imagecache

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bolide/imagecache/disk"

	"github.com/sirupsen/logrus"
)

// store is an image service for tests: it serves files, counts, and fails when told to.
type store struct {
	mu      sync.Mutex
	content map[string][]byte
	opened  map[string][]int64 // offsets asked for
	breaks  []int              // of the next opens: how many bytes come before the stream breaks
	noRange bool
	fail    error         // of every open
	hold    chan struct{} // streams wait for it before their first byte
}

func newStore() *store {
	return &store{content: map[string][]byte{}, opened: map[string][]int64{}}
}

var errBroken = errors.New("connection reset by test")

func (s *store) Open(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened[id] = append(s.opened[id], offset)
	if s.fail != nil {
		return nil, s.fail
	}
	if offset > 0 && s.noRange {
		return nil, ErrNoRange
	}
	body, ok := s.content[id]
	if !ok {
		return nil, os.ErrNotExist
	}
	var r io.Reader = bytes.NewReader(body[min(offset, int64(len(body))):])
	if len(s.breaks) > 0 {
		r = io.MultiReader(io.LimitReader(r, int64(s.breaks[0])), brokenReader{})
		s.breaks = s.breaks[1:]
	}
	return io.NopCloser(&heldReader{ctx: ctx, hold: s.hold, r: r}), nil
}

func (s *store) opens(id string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int64(nil), s.opened[id]...)
}

// put adds an image and returns what the image service states of it.
func (s *store) put(id, diskFormat string, body []byte) Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content[id] = body
	sum := sha512.Sum512(body)
	return Image{ID: id, DiskFormat: diskFormat, ContainerFormat: "bare", Size: int64(len(body)),
		HashAlgo: "sha512", HashValue: hex.EncodeToString(sum[:])}
}

func (s *store) putFile(t testing.TB, id, diskFormat, path string) Image {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s.put(id, diskFormat, body)
}

func md5Only(img Image, body []byte) Image {
	sum := md5.Sum(body)
	img.HashAlgo, img.HashValue, img.MD5 = "", "", hex.EncodeToString(sum[:])
	return img
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// heldReader waits before its first byte and ends with its context.
type heldReader struct {
	ctx  context.Context
	hold chan struct{}
	r    io.Reader
}

func (h *heldReader) Read(p []byte) (int, error) {
	if h.hold != nil {
		select {
		case <-h.hold:
		case <-h.ctx.Done():
			return 0, h.ctx.Err()
		}
	}
	return h.r.Read(p)
}

// newCache opens a cache in a directory laid out as instances_path, which it returns.
func newCache(t testing.TB, instances string, change ...func(*Options)) *Cache {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed")
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	entry := logrus.NewEntry(log)
	tool, err := disk.New(disk.Options{Log: entry, MaxConcurrent: 4})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: filepath.Join(instances, "_base"), Tool: tool, Log: entry, RetryDelay: time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func forceRaw(o *Options) { o.ForceRaw = true }

// guest returns the bytes of a raw disk with a partition table, data and holes.
func guest(size int) []byte {
	b := make([]byte, size)
	copy(b[446+4:], []byte{0x83}) // a Linux partition
	b[510], b[511] = 0x55, 0xaa
	for i := 1 << 20; i < 1<<20+300000; i++ {
		b[i] = byte(i * 7)
	}
	copy(b[size-16:], "end of the disk!")
	return b
}

// qemuImg runs qemu-img the plain way.
func qemuImg(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
	}
}

// converted writes the bytes as an image of a QEMU format and returns its path.
func converted(t testing.TB, raw []byte, format string, options ...string) string {
	t.Helper()
	src := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(src, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "image")
	qemuImg(t, append(append([]string{"convert", "-f", "raw", "-O", format}, options...), src, dst)...)
	return dst
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names lists what lies in the cache.
func names(t testing.TB, c *Cache) []string {
	t.Helper()
	dir, err := os.ReadDir(c.opts.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range dir {
		list = append(list, e.Name())
	}
	return list
}
