package imagecache

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var races = flag.Int("races", 1000, "builds in the race against the ager")

const (
	day  = 24 * time.Hour
	hour = time.Hour
)

// base puts a file into the cache as Nova's node might have, last used so long ago.
func base(t *testing.T, c *Cache, name string, unused time.Duration) {
	t.Helper()
	path := c.path(name)
	if err := os.WriteFile(path, make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-unused)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

// overlay makes a disk of an instance over a file of the cache.
func overlay(t *testing.T, c *Cache, instances, disk, name string) {
	t.Helper()
	path := filepath.Join(instances, disk)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "create", "-q", "-f", "qcow2", "-b", c.path(name), "-F", "raw", path, "1M")
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	c := newCache(t, dir)
	old, young, used, resizing, remote, pinned := Name("old"), Name("young"), Name("used"), Name("resizing"), Name("remote"), Name("pinned")
	for name, unused := range map[string]time.Duration{
		old: 2 * day, young: hour, used: 2 * day, resizing: 2 * day, remote: 2 * day, pinned: 2 * day,
		old + "_20": 2 * hour, young + "_20": 10 * time.Minute,
		"swap_64": 2 * day, "swap_128": 2 * day, "ephemeral_1_40d1d2c": 2 * day, "ephemeral_2_40d1d2c": 2 * day,
		"unknown": 9 * day,
	} {
		base(t, c, name, unused)
	}
	overlay(t, c, dir, "11111111/disk", used)
	overlay(t, c, dir, "22222222_resize/disk", resizing)
	overlay(t, c, dir, "11111111/disk.swap", "swap_64")
	unpin := c.pin(pinned)

	o := SweepOptions{Instances: dir, Images: []string{"remote"}, Names: []string{"ephemeral_1_40d1d2c"},
		OriginalAge: day, ResizedAge: hour}
	if _, removed, err := c.Sweep(context.Background(), o); err != nil || removed != nil {
		t.Fatalf("a sweep that only looks: %v, %v", removed, err)
	}
	o.DryRun = true
	_, would, err := c.Sweep(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.DryRun, o.Remove = false, true
	kept, removed, err := c.Sweep(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	wantRemoved := []string{old, old + "_20", "swap_128", "ephemeral_2_40d1d2c"}
	wantKept := []string{young, young + "_20", used, resizing, remote, pinned, "swap_64", "ephemeral_1_40d1d2c"}
	same(t, "would be removed", would, wantRemoved)
	same(t, "removed", removed, wantRemoved)
	same(t, "kept", kept, wantKept)
	for _, name := range wantRemoved {
		if _, err := os.Stat(c.path(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", name)
		}
	}
	if _, err := os.Stat(c.path("unknown")); err != nil {
		t.Error("a file that is not the cache's was removed")
	}
	// What is in use is young again.
	for _, name := range []string{used, "swap_64", remote} {
		if st, err := os.Stat(c.path(name)); err != nil || time.Since(st.ModTime()) > hour {
			t.Errorf("%s was not marked used", name)
		}
	}
	unpin()
	if _, removed, err = c.Sweep(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	same(t, "removed after the pin", removed, []string{pinned})
}

func same(t *testing.T, what string, got []Entry, want []string) {
	t.Helper()
	var names []string
	for _, e := range got {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, names, want)
	}
}

func TestSweepCap(t *testing.T) {
	dir := t.TempDir()
	c := newCache(t, dir)
	for i, name := range []string{"a", "b", "c", "d"} {
		base(t, c, Name(name), time.Duration(10-i)*time.Minute)
	}
	overlay(t, c, dir, "11111111/disk", Name("a"))
	o := SweepOptions{Instances: dir, Remove: true, OriginalAge: day, MaxBytes: 8192}
	kept, removed, err := c.Sweep(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "removed", removed, []string{Name("b"), Name("c")})
	same(t, "kept", kept, []string{Name("a"), Name("d")})
}

func TestSweepOnDoubtRemovesNothing(t *testing.T) {
	dir := t.TempDir()
	c := newCache(t, dir)
	base(t, c, Name("old"), 2*day)
	o := SweepOptions{Instances: filepath.Join(dir, "not mounted"), Remove: true}
	if _, removed, err := c.Sweep(context.Background(), o); err == nil || removed != nil {
		t.Errorf("got %v, %v", removed, err)
	}
	if _, err := os.Stat(c.path(Name("old"))); err != nil {
		t.Error(err)
	}
}

// TestSweepRespectsAnotherNode has the lock held as a node sharing the folder holds it while it fetches.
func TestSweepRespectsAnotherNode(t *testing.T) {
	dir := t.TempDir()
	c := newCache(t, dir)
	base(t, c, Name("old"), 2*day)
	unlock, err := c.lock(context.Background(), Name("old"))
	if err != nil {
		t.Fatal(err)
	}
	o := SweepOptions{Instances: dir, Remove: true}
	if _, removed, err := c.Sweep(context.Background(), o); err != nil || removed != nil {
		t.Errorf("got %v, %v", removed, err)
	}
	unlock()
	if _, removed, err := c.Sweep(context.Background(), o); err != nil || len(removed) != 1 {
		t.Errorf("got %v, %v", removed, err)
	}
}

// TestSweepRace sets builds, each of which takes a base, lays a disk over it and goes away again, against an ager that
// removes everything unused at once. A base under a disk must never be gone.
func TestSweepRace(t *testing.T) {
	dir := t.TempDir()
	c := newCache(t, dir)
	s := newStore()
	const images, builders = 3, 4
	var imgs []Image
	var disks [][]byte
	for i := range images {
		imgs = append(imgs, s.put(fmt.Sprint("image", i), "raw", make([]byte, 4096)))
		base(t, c, Name(imgs[i].ID), 0)
		overlay(t, c, dir, "template/disk", Name(imgs[i].ID))
		disks = append(disks, mustRead(t, filepath.Join(dir, "template", "disk")))
	}
	if err := os.RemoveAll(filepath.Join(dir, "template")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ager, builds sync.WaitGroup
	var removals atomic.Int64
	ager.Go(func() {
		for ctx.Err() == nil {
			_, removed, err := c.Sweep(ctx, SweepOptions{Instances: dir, Remove: true})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			removals.Add(int64(len(removed)))
		}
	})
	for b := range builders {
		builds.Go(func() {
			instance := filepath.Join(dir, fmt.Sprint("instance", b))
			for i := range *races / builders {
				n := i % images
				if err := build(c, imgs[n], s, instance, disks[n]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	builds.Wait()
	cancel()
	ager.Wait()
	t.Logf("%d builds, %d removals", *races, removals.Load())
	if removals.Load() == 0 {
		t.Error("the ager removed nothing: the race was none")
	}
}

func build(c *Cache, img Image, s *store, instance string, disk []byte) error {
	b, err := c.Get(context.Background(), img, s, nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(instance, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(instance, "disk"), disk, 0o644); err != nil {
		return err
	}
	b.Release()
	for range 3 { // the guest's life
		if _, err := os.Stat(b.Path); err != nil {
			return fmt.Errorf("base is gone from under a disk: %w", err)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return os.RemoveAll(instance)
}

func TestListAndBytes(t *testing.T) {
	dir := t.TempDir()
	c := newCache(t, dir)
	s := newStore()
	img := s.put(imageID, "raw", guest(4<<20))
	b, err := c.Get(context.Background(), img, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	overlay(t, c, dir, "11111111/disk", Name(imageID))
	list, err := c.List(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 {
		t.Fatalf("got %+v", list)
	}
	e := list[0]
	if e.Image != imageID || e.Format != "raw" || e.VirtualSize != 4<<20 || !e.Verified || e.Pins != 1 || e.Users != 1 ||
		e.Bytes < 300000 || e.Bytes > 1<<20 || e.Fetched.IsZero() {
		t.Errorf("got %+v", e)
	}
	// A file that Nova's node brought has no record.
	base(t, c, Name("nova's"), 0)
	if list, err = c.List(context.Background(), dir); err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, e := range list {
		if e.Name == Name("nova's") && (e.Format != "raw" || e.VirtualSize != 4096 || e.Verified || e.Image != "") {
			t.Errorf("got %+v", e)
		}
	}
	if err := os.Remove(c.path(Name("nova's"))); err != nil {
		t.Fatal(err)
	}
	b.Release()
	sum, err := c.Bytes()
	if err != nil || sum < e.Bytes || sum > e.Bytes+64<<10 {
		t.Errorf("%d bytes, %v", sum, err)
	}
}
