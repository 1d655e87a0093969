package imagecache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

const imageID = "6c0e40ea-4e55-4d6c-9b77-2d3a0e4c7f11"

// The name is fixed by what Nova's nodes have on disk.
func TestName(t *testing.T) {
	if got := Name("00000000-0000-0000-0000-000000000000"); got != "b602d594afd2b0b327e07a06f36ca6a7e42546d0" {
		t.Errorf("got %s", got)
	}
}

func TestGet(t *testing.T) {
	raw := guest(8 << 20)
	for _, tc := range []struct {
		name       string
		force      bool
		image      func(*testing.T, *store) Image
		wantFormat string
	}{
		{"raw", true, func(t *testing.T, s *store) Image { return s.put(imageID, "raw", raw) }, "raw"},
		{"qcow2 kept", false, func(t *testing.T, s *store) Image {
			return s.putFile(t, imageID, "qcow2", converted(t, raw, "qcow2"))
		}, "qcow2"},
		{"qcow2 converted", true, func(t *testing.T, s *store) Image {
			return s.putFile(t, imageID, "qcow2", converted(t, raw, "qcow2", "-c"))
		}, "raw"},
		{"md5 only", true, func(t *testing.T, s *store) Image { return md5Only(s.put(imageID, "raw", raw), raw) }, "raw"},
		{"size not known", true, func(t *testing.T, s *store) Image {
			img := s.put(imageID, "raw", raw)
			img.Size = 0
			return img
		}, "raw"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCache(t, t.TempDir(), func(o *Options) { o.ForceRaw = tc.force })
			s := newStore()
			img := tc.image(t, s)
			if c.Cached(imageID) {
				t.Error("cached before it was fetched")
			}
			for range 2 {
				b, err := c.Get(context.Background(), img, s, nil)
				if err != nil {
					t.Fatal(err)
				}
				if b.Format != tc.wantFormat || b.VirtualSize != 8<<20 || !b.Verified || b.Path != c.path(Name(imageID)) {
					t.Errorf("got %+v", b)
				}
				b.Release()
			}
			if !c.Cached(imageID) {
				t.Error("not cached")
			}
			if got := s.opens(imageID); len(got) != 1 {
				t.Errorf("downloaded %d times", len(got))
			}
			if tc.wantFormat == "raw" && !bytes.Equal(mustRead(t, c.path(Name(imageID))), raw) {
				t.Error("the base is not the image")
			}
			if want := []string{Name(imageID), Name(imageID) + ".json"}; !slices.Equal(names(t, c), want) {
				t.Errorf("the cache holds %v", names(t, c))
			}
		})
	}
}

func TestGetSparse(t *testing.T) {
	c := newCache(t, t.TempDir())
	s := newStore()
	raw := guest(64 << 20)
	b, err := c.Get(context.Background(), s.put(imageID, "raw", raw), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	st, err := os.Stat(b.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := allocated(st); got > 1<<20 {
		t.Errorf("%d bytes on disk for 300 kB of data", got)
	}
	if !bytes.Equal(mustRead(t, b.Path), raw) {
		t.Error("the base is not the image")
	}
}

// TestGetTogether is a herd of boots of one cold image.
func TestGetTogether(t *testing.T) {
	for _, breaks := range [][]int{nil, {100000, 100000}} {
		c := newCache(t, t.TempDir(), forceRaw)
		s := newStore()
		s.breaks = breaks
		img := s.putFile(t, imageID, "qcow2", converted(t, guest(8<<20), "qcow2", "-o", "cluster_size=64k"))
		var wg sync.WaitGroup
		bases := make([]*Base, 50)
		errs := make([]error, 50)
		for i := range bases {
			wg.Go(func() { bases[i], errs[i] = c.Get(context.Background(), img, s, nil) })
		}
		wg.Wait()
		for i, b := range bases {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			b.Release()
			b.Release() // counts once
		}
		if got := s.opens(imageID); len(got) != 1+len(breaks) {
			t.Errorf("opened at %v", got)
		}
		// The digest of what was converted may still be under way.
		waitFor(t, func() bool { return c.pins(Name(imageID)) == 0 })
	}
}

func TestGetSharesTheError(t *testing.T) {
	c := newCache(t, t.TempDir())
	s := newStore()
	s.hold = make(chan struct{})
	img := s.put(imageID, "raw", []byte("x"))
	img.HashValue = "00"
	errs := make(chan error, 10)
	for range cap(errs) {
		go func() {
			_, err := c.Get(context.Background(), img, s, nil)
			errs <- err
		}()
	}
	waitFor(t, func() bool {
		a := c.Activities()
		return len(a) == 1 && a[0].Waiters == cap(errs)
	})
	close(s.hold)
	for range cap(errs) {
		if err := <-errs; !errors.As(err, new(*ErrChecksum)) {
			t.Errorf("got %v", err)
		}
	}
	if got := s.opens(imageID); len(got) != 2 { // wrong bytes are fetched once more
		t.Errorf("opened at %v", got)
	}
	if got := names(t, c); len(got) != 0 {
		t.Errorf("the cache holds %v", got)
	}
}

func TestWaitersLeaveAlone(t *testing.T) {
	c := newCache(t, t.TempDir())
	s := newStore()
	s.hold = make(chan struct{})
	img := s.put(imageID, "raw", guest(4<<20))
	leaving, leave := context.WithCancel(context.Background())
	gone, stays := make(chan error, 1), make(chan error, 1)
	go func() { _, err := c.Get(leaving, img, s, nil); gone <- err }()
	go func() {
		b, err := c.Get(context.Background(), img, s, nil)
		if err == nil {
			b.Release()
		}
		stays <- err
	}()
	waitFor(t, func() bool { a := c.Activities(); return len(a) == 1 && a[0].Waiters == 2 })
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left got %v", err)
	}
	close(s.hold)
	if err := <-stays; err != nil {
		t.Errorf("the one that stayed got %v", err)
	}
	if got := s.opens(imageID); len(got) != 1 {
		t.Errorf("opened at %v", got)
	}
}

// TestLastWaiterEndsTheWork also shows that the next call waits for the end of the old work and starts anew.
func TestLastWaiterEndsTheWork(t *testing.T) {
	c := newCache(t, t.TempDir())
	s := newStore()
	s.hold = make(chan struct{})
	img := s.put(imageID, "raw", guest(4<<20))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := c.Get(ctx, img, s, nil); done <- err }()
	waitFor(t, func() bool { return len(s.opens(imageID)) == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	waitFor(t, func() bool { return len(c.Activities()) == 0 })
	close(s.hold)
	b, err := c.Get(context.Background(), img, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
}

func TestLimitConcernsOneCaller(t *testing.T) {
	c := newCache(t, t.TempDir(), forceRaw)
	s := newStore()
	img := s.putFile(t, imageID, "qcow2", converted(t, guest(8<<20), "qcow2"))
	small := img
	small.Limit = 4 << 20
	for range 2 { // cold and cached
		_, err := c.Get(context.Background(), small, s, nil)
		var large *ErrTooLarge
		if !errors.As(err, &large) || large.ImageSize != 8<<20 || large.DiskSize != 4<<20 || large.Image != imageID {
			t.Fatalf("got %v", err)
		}
		b, err := c.Get(context.Background(), img, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
}

func TestProgress(t *testing.T) {
	c := newCache(t, t.TempDir())
	s := newStore()
	var done, total int64
	b, err := c.Get(context.Background(), s.put(imageID, "raw", guest(4<<20)), s, func(d, n int64) { done, total = d, n })
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	if done < 0 || total < 0 {
		t.Errorf("progress %d of %d", done, total)
	}
}

func TestClose(t *testing.T) {
	c := newCache(t, t.TempDir())
	s := newStore()
	s.hold = make(chan struct{})
	img := s.put(imageID, "raw", guest(4<<20))
	done := make(chan error, 1)
	go func() { _, err := c.Get(context.Background(), img, s, nil); done <- err }()
	waitFor(t, func() bool { return len(s.opens(imageID)) == 1 })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Get(context.Background(), img, s, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestFetchedAgainWhereNovaLeftOff(t *testing.T) {
	// A base that another node brought: no record, but the bytes tell.
	dir := t.TempDir()
	c := newCache(t, dir)
	s := newStore()
	img := s.put(imageID, "raw", guest(4<<20))
	if err := os.WriteFile(filepath.Join(dir, "_base", Name(imageID)), s.content[imageID], 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := c.Get(context.Background(), img, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if b.Verified || b.Format != "raw" || len(s.opens(imageID)) != 0 {
		t.Errorf("got %+v after %v", b, s.opens(imageID))
	}
}

// waitFor waits until a condition that needs no more than the progress of other goroutines holds.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("condition not reached within 20 s")
		}
	}
}
