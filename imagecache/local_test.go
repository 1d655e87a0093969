package imagecache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestLocalStore(t *testing.T) {
	raw := guest(8 << 20)
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, store string, img *Image, o *Options)
		taken   bool
	}{
		{"copied", func(*testing.T, string, *Image, *Options) {}, true},
		{"linked", func(_ *testing.T, _ string, _ *Image, o *Options) { o.LinkLocal = true }, true},
		{"not configured", func(_ *testing.T, _ string, _ *Image, o *Options) { o.LocalStores = nil }, false},
		{"another scheme", func(_ *testing.T, _ string, i *Image, _ *Options) { i.Locations[0].URL = "http://host/x" }, false},
		{"outside the store", func(t *testing.T, _ string, i *Image, o *Options) { o.LocalStores = []string{t.TempDir()} }, false},
		{"by a way out of the store", func(_ *testing.T, store string, i *Image, o *Options) {
			o.LocalStores = []string{filepath.Join(store, "sub")}
			i.Locations[0].URL = "file://" + store + "/sub/../image"
		}, false},
		{"by a link out of the store", func(t *testing.T, store string, i *Image, o *Options) {
			sub := filepath.Join(store, "sub")
			if err := errors.Join(os.Mkdir(sub, 0o755), os.Symlink(store+"/image", sub+"/link")); err != nil {
				t.Fatal(err)
			}
			o.LocalStores, i.Locations[0].URL = []string{sub}, "file://"+sub+"/link"
		}, false},
		{"of another size", func(t *testing.T, store string, _ *Image, _ *Options) {
			if err := os.Truncate(store+"/image", 100); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"of other bytes", func(t *testing.T, store string, _ *Image, _ *Options) {
			if err := os.WriteFile(store+"/image", make([]byte, 8<<20), 0o644); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"without a checksum", func(_ *testing.T, _ string, i *Image, _ *Options) { i.HashValue = "" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := t.TempDir()
			if err := os.WriteFile(store+"/image", raw, 0o644); err != nil {
				t.Fatal(err)
			}
			s := newStore()
			img := s.put(imageID, "raw", raw)
			img.Locations = []Location{{URL: "file://" + store + "/image"}}
			c := newCache(t, t.TempDir(), func(o *Options) {
				o.LocalStores = []string{store}
				tc.prepare(t, store, &img, o)
			})
			b, err := c.Get(context.Background(), img, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Release()
			if taken := len(s.opens(imageID)) == 0; taken != tc.taken {
				t.Errorf("taken from the store: %t", taken)
			}
			if !bytes.Equal(mustRead(t, b.Path), raw) {
				t.Error("the base is not the image")
			}
			one, err1 := os.Stat(b.Path)
			two, err2 := os.Stat(store + "/image")
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			if linked := os.SameFile(one, two); linked != (tc.name == "linked") {
				t.Errorf("linked: %t", linked)
			}
		})
	}
}

// TestLinkLeftBehind has a link to the image service's own file left by a crash; the next download must not write to it.
func TestLinkLeftBehind(t *testing.T) {
	store := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(store, []byte("of the image service"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, s := newCache(t, t.TempDir()), newStore()
	if err := os.Link(store, c.path(Name(imageID))+".part"); err != nil {
		t.Fatal(err)
	}
	if err := get(t, c, s.put(imageID, "raw", guest(4<<20)), s); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, store); string(got) != "of the image service" {
		t.Errorf("the image service's file is %d other bytes", len(got))
	}
}

// TestLockIsNovas has Python take the lock as Nova's node does.
func TestLockIsNovas(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	c := newCache(t, t.TempDir())
	name := Name(imageID)
	cmd := exec.Command(python, "-c", `
import fcntl, sys
f = open(sys.argv[1], "a")
fcntl.lockf(f, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
`, filepath.Join(c.opts.Locks, "nova-"+name))
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tryLock(name); !errors.Is(err, errLocked) {
		t.Errorf("got %v", err)
	}
	got := make(chan error, 1)
	go func() {
		unlock, err := c.lock(context.Background(), name)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestLockWaitEndsWithItsContext(t *testing.T) {
	c := newCache(t, t.TempDir())
	unlock, err := c.lock(context.Background(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.lock(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
