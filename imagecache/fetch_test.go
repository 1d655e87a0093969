package imagecache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func get(t *testing.T, c *Cache, img Image, s *store) error {
	t.Helper()
	b, err := c.Get(context.Background(), img, s, nil)
	if err == nil {
		if got := mustRead(t, b.Path); !bytes.Equal(got, s.content[img.ID]) {
			t.Error("the base is not the image")
		}
		b.Release()
	}
	return err
}

func TestBrokenDownload(t *testing.T) {
	body := guest(4 << 20)
	for _, tc := range []struct {
		name    string
		prepare func(*store, *Image)
		want    []int64 // offsets
		err     error
	}{
		{"continued by range", func(s *store, _ *Image) { s.breaks = []int{3 << 20} }, []int64{0, 3 << 20}, nil},
		{"begun again", func(s *store, _ *Image) { s.breaks, s.noRange = []int{3 << 20}, true }, []int64{0, 3 << 20, 0}, nil},
		{"begun again without a checksum", func(s *store, i *Image) { s.breaks, i.HashValue = []int{3 << 20}, "" }, []int64{0, 0}, nil},
		{"given up", func(s *store, _ *Image) { s.breaks = []int{1, 1, 1, 1, 1} }, []int64{0, 1, 2, 3}, errBroken},
		{"not opened", func(s *store, _ *Image) { s.fail = os.ErrPermission }, []int64{0}, os.ErrPermission},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := newCache(t, t.TempDir()), newStore()
			img := s.put(imageID, "raw", body)
			tc.prepare(s, &img)
			err := get(t, c, img, s)
			if !errors.Is(err, tc.err) || tc.err != nil && !errors.As(err, new(*ErrFetch)) {
				t.Errorf("got %v", err)
			}
			if got := s.opens(imageID); !slices.Equal(got, tc.want) {
				t.Errorf("opened at %v, want %v", got, tc.want)
			}
		})
	}
}

func TestSilentSource(t *testing.T) {
	c := newCache(t, t.TempDir(), func(o *Options) { o.StallTimeout, o.Attempts = 20*time.Millisecond, 2 })
	s := newStore()
	img := s.put(imageID, "raw", guest(4<<20))
	_, err := c.Get(context.Background(), img, silent{s}, nil)
	if !errors.As(err, new(*ErrFetch)) || !errors.Is(err, errStalled) {
		t.Errorf("got %v", err)
	}
	if got := s.opens(imageID); len(got) != 2 {
		t.Errorf("opened at %v", got)
	}
}

// silent is a source whose streams say nothing until they are closed.
type silent struct{ *store }

func (s silent) Open(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	if _, err := s.store.Open(ctx, id, offset); err != nil {
		return nil, err
	}
	r, _ := io.Pipe()
	return r, nil
}

func TestBrokenDownloadIsContinuedByTheNextProcess(t *testing.T) {
	dir, s := t.TempDir(), newStore()
	img := s.put(imageID, "raw", guest(4<<20))
	s.breaks = []int{3 << 20, 0, 0, 0}
	c := newCache(t, dir)
	if err := get(t, c, img, s); !errors.Is(err, errBroken) {
		t.Fatalf("got %v", err)
	}
	c.Close()
	if err := get(t, newCache(t, dir), img, s); err != nil {
		t.Fatal(err)
	}
	if got := s.opens(imageID); got[len(got)-1] != 3<<20 {
		t.Errorf("opened at %v", got)
	}
}

func TestWhatIsThereIsWrong(t *testing.T) {
	for name, there := range map[string][]byte{
		"other bytes":        bytes.Repeat([]byte{1}, 1<<20),
		"longer":             make([]byte, 5<<20),
		"as long, all zeros": make([]byte, 4<<20), // a file that lost its data in a power cut
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), newStore()
			img := s.put(imageID, "raw", guest(4<<20))
			c := newCache(t, dir)
			if err := os.WriteFile(c.path(Name(imageID))+".part", there, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := get(t, c, img, s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestWrongBytes(t *testing.T) {
	body := guest(4 << 20)
	for _, tc := range []struct {
		name   string
		change func(*Image)
		check  func(error) bool
	}{
		{"checksum", func(i *Image) { i.HashValue = "abcd" }, func(err error) bool { return errors.As(err, new(*ErrChecksum)) }},
		{"md5", func(i *Image) { *i = md5Only(*i, []byte("else")) }, func(err error) bool { return errors.As(err, new(*ErrChecksum)) }},
		{"hash not known", func(i *Image) { i.HashAlgo = "crc32" }, func(err error) bool { return errors.As(err, new(*ErrUnacceptable)) }},
		{"longer than stated", func(i *Image) { i.Size-- }, func(err error) bool { return errors.As(err, new(*ErrUnacceptable)) }},
		{"shorter than stated", func(i *Image) { i.Size++ }, func(err error) bool { return errors.As(err, new(*ErrFetch)) }},
		{"container", func(i *Image) { i.ContainerFormat = "ova" }, func(err error) bool { return errors.As(err, new(*ErrUnacceptable)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := newCache(t, t.TempDir()), newStore()
			img := s.put(imageID, "raw", body)
			tc.change(&img)
			if err := get(t, c, img, s); !tc.check(err) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(c.path(Name(imageID))); !errors.Is(err, os.ErrNotExist) {
				t.Error("a base came into being")
			}
		})
	}
}

func TestRecover(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "_base")
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	n := Name(imageID)
	old, other := Name("old"), Name("other")
	files := []string{
		n, n + ".json", n + ".converted", n + ".converted.part", n + ".json.part", old + ".part", other + ".part", other + ".json",
		"ephemeral_1_40d1d2c", "ephemeral_1_40d1d2c.part", "ephemeral_1_40d1d2c-ext4.part", "swap_64.part", "notes.part", "README",
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(base, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(base, old+".part"), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	got := names(t, newCache(t, dir))
	want := []string{n, n + ".json", other + ".part", "ephemeral_1_40d1d2c", "notes.part", "README"}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestRecoverLeavesAnotherNodesWorkAlone(t *testing.T) {
	dir := t.TempDir()
	first := newCache(t, dir)
	unlock, err := first.lock(context.Background(), Name(imageID))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	working := first.path(Name(imageID)) + ".converted"
	if err := os.WriteFile(working, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	newCache(t, dir)
	if _, err := os.Stat(working); err != nil {
		t.Error(err)
	}
}
