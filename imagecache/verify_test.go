package imagecache

import (
	"context"
	"errors"
	"os"
	"testing"
)

func TestVerify(t *testing.T) {
	for _, tc := range []struct {
		name string
		put  func(*testing.T, *store) Image
	}{
		{"as fetched", func(t *testing.T, s *store) Image { return s.put(imageID, "raw", guest(4<<20)) }},
		{"md5", func(t *testing.T, s *store) Image {
			return md5Only(s.put(imageID, "raw", guest(4<<20)), guest(4<<20))
		}},
		{"converted", func(t *testing.T, s *store) Image {
			return s.putFile(t, imageID, "qcow2", converted(t, guest(4<<20), "qcow2"))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := newCache(t, t.TempDir(), forceRaw), newStore()
			b, err := c.Get(context.Background(), tc.put(t, s), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
			name := Name(imageID)
			waitFor(t, func() bool { return c.pins(name) == 0 })
			var last int64
			if err := c.Verify(context.Background(), name, func(done, _ int64) { last = done }); err != nil {
				t.Fatal(err)
			}
			if last != 4<<20 {
				t.Errorf("progress ended at %d", last)
			}
			f, err := os.OpenFile(b.Path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte{99}, 1<<20+5); err != nil {
				t.Fatal(err)
			}
			if err := c.Verify(context.Background(), name, nil); !errors.Is(err, ErrDamaged) {
				t.Errorf("one byte changed: %v", err)
			}
		})
	}
}

func TestVerifyUnknown(t *testing.T) {
	c := newCache(t, t.TempDir())
	base(t, c, Name("nova's"), 0)
	if err := c.Verify(context.Background(), Name("nova's"), nil); !errors.Is(err, ErrUnverifiable) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{Name("none"), "../../etc/passwd"} {
		if err := c.Verify(context.Background(), name, nil); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
