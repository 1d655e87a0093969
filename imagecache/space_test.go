package imagecache

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, option string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, option); err != nil {
		t.Skipf("mounting a file system is not allowed: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestDiskFull(t *testing.T) {
	full := make([]byte, 12<<20)
	for i := range full {
		full[i] = byte(i>>8) | 1
	}
	for _, tc := range []struct {
		name  string
		force bool
		image func(*testing.T, *store) Image
		need  bool // the error says how much was missing
	}{
		{"seen before the download", false, func(_ *testing.T, s *store) Image { return s.put(imageID, "raw", full) }, true},
		{"met during the download", false, func(_ *testing.T, s *store) Image {
			img := s.put(imageID, "raw", full)
			img.Size = 0
			return img
		}, false},
		{"seen before the conversion", true, func(t *testing.T, s *store) Image {
			return s.putFile(t, imageID, "qcow2", converted(t, full, "qcow2", "-c"))
		}, true},
		{"met during the conversion", true, func(t *testing.T, s *store) Image {
			return s.putFile(t, imageID, "vmdk", converted(t, full, "vmdk", "-o", "subformat=streamOptimized"))
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := smallDisk(t, "size=8m")
			c, s := newCache(t, dir, func(o *Options) { o.ForceRaw = tc.force }), newStore()
			img := tc.image(t, s)
			var wg sync.WaitGroup
			for range 3 { // all that wait are told
				wg.Go(func() {
					_, err := c.Get(context.Background(), img, s, nil)
					var space *ErrNoSpace
					if !errors.As(err, &space) || space.Image != imageID || (space.Need > 0) != tc.need {
						t.Errorf("got %v", err)
					}
				})
			}
			wg.Wait()
			if left := names(t, c); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if c.reserved != 0 {
				t.Errorf("%d bytes stay reserved", c.reserved)
			}
			small := s.put("small", "raw", make([]byte, 1<<20))
			b, err := c.Get(context.Background(), small, s, nil)
			if err != nil {
				t.Fatalf("afterwards: %v", err)
			}
			b.Release()
			c.Close()
		})
	}
}

// TestReservation has two images that fit one at a time.
func TestReservation(t *testing.T) {
	dir := smallDisk(t, "size=8m")
	c, s := newCache(t, dir), newStore()
	s.hold = make(chan struct{})
	one, two := s.put("one", "raw", make([]byte, 5<<20)), s.put("two", "raw", make([]byte, 5<<20))
	done := make(chan error, 1)
	go func() {
		b, err := c.Get(context.Background(), one, s, nil)
		if err == nil {
			b.Release()
		}
		done <- err
	}()
	waitFor(t, func() bool { return len(s.opens("one")) == 1 })
	if _, err := c.Get(context.Background(), two, s, nil); !errors.As(err, new(*ErrNoSpace)) {
		t.Errorf("got %v", err)
	}
	close(s.hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.Close()
}
