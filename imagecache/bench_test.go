package imagecache

import (
	"context"
	"testing"
)

// BenchmarkGetCached is what a boot from a cached image pays here.
func BenchmarkGetCached(b *testing.B) {
	c, s := newCache(b, b.TempDir()), newStore()
	img := s.put(imageID, "raw", guest(8<<20))
	for b.Loop() {
		base, err := c.Get(context.Background(), img, s, nil)
		if err != nil {
			b.Fatal(err)
		}
		base.Release()
	}
}

// BenchmarkDownload is the whole way of a raw image from a source in memory.
func BenchmarkDownload(b *testing.B) {
	const size = 256 << 20
	c, s := newCache(b, b.TempDir()), newStore()
	body := make([]byte, size)
	for i := 0; i < size; i += 3 {
		body[i] = byte(i >> 4)
	}
	img := s.put(imageID, "raw", body)
	b.SetBytes(size)
	for b.Loop() {
		base, err := c.Get(context.Background(), img, s, nil)
		if err != nil {
			b.Fatal(err)
		}
		base.Release()
		if err := remove(base.Path); err != nil {
			b.Fatal(err)
		}
	}
}
