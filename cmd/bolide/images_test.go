package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"bolide/agent/status"
)

// sampleImages is an image cache with something of everything.
type sampleImages struct{}

func (sampleImages) list() []status.CachedImage {
	return []status.CachedImage{
		{
			Name: "356a192b7913b04c54574d18c28d46e6395428ab", Image: "6c0e40ea-4e55-4d6c-9b77-2d3a0e4c7f11", Format: "raw", VirtualSize: 2 << 30,
			Allocated: 512 << 20, LastUse: now.Add(-3 * time.Minute), Fetched: now.Add(-2 * time.Hour), Verified: true, Users: 12,
		},
		{
			Name: "da4b9237bacccdf19c0760cab7aec4a8359010b0", Image: "6c0e40ea-4e55-4d6c-9b77-2d3a0e4c7f12", Format: "qcow2", VirtualSize: 1 << 30,
			Allocated: 20 << 20, LastUse: now, Fetched: now, Builds: 1,
		},
		{Name: "swap_64", Format: "raw", VirtualSize: 64 << 20, Allocated: 4096, LastUse: now.Add(-50 * time.Hour)},
	}
}

func (s sampleImages) ListImages(context.Context) (status.ImageList, error) {
	return status.ImageList{
		Images: s.list(), Bytes: 532 << 20, Limit: 10 << 30,
		Work: []status.ImageWork{
			{Image: "6c0e40ea-4e55-4d6c-9b77-2d3a0e4c7f13", Phase: "downloading", Started: now, Done: 300 << 20, Total: 1 << 30, Rate: 100 << 20, SecondsLeft: 7, Waiters: 50},
			{Image: "6c0e40ea-4e55-4d6c-9b77-2d3a0e4c7f14", Phase: "waiting", Started: now, SecondsLeft: -1, Waiters: 1},
		},
	}, nil
}

func (s sampleImages) VerifyImages(_ context.Context, name string, tell func(status.ImageCheck)) error {
	results := []string{status.ImageIntact, status.ImageDamaged, status.ImageUnverifiable}
	for n, i := range s.list() {
		if name != "" && name != i.Image {
			continue
		}
		tell(status.ImageCheck{Name: i.Name, Image: i.Image, Total: i.VirtualSize})
		tell(status.ImageCheck{Name: i.Name, Image: i.Image, Done: i.VirtualSize, Total: i.VirtualSize, Result: results[n]})
	}
	return nil
}

func (s sampleImages) PruneImages(_ context.Context, r status.PruneRequest) (status.PruneResult, error) {
	if r.All {
		return status.PruneResult{Removed: s.list()[2:], Kept: 2}, nil
	}
	return status.PruneResult{Kept: 3}, nil
}

func TestImagePages(t *testing.T) {
	st := style{now: now}
	list, err := sampleImages{}.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("images", func(t *testing.T) {
		var b bytes.Buffer
		printImages(&b, st, &list)
		golden(t, "images.txt", b.Bytes())
	})
	t.Run("no images", func(t *testing.T) {
		var b bytes.Buffer
		printImages(&b, st, &status.ImageList{})
		if got := b.String(); got != "0 files, 0 B\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("text from elsewhere", func(t *testing.T) {
		const evil = "x\x1b[2J\x07\ny"
		var b bytes.Buffer
		printImages(&b, st, &status.ImageList{
			Images: []status.CachedImage{{Name: evil, Image: evil, Format: evil}}, Work: []status.ImageWork{{Image: evil, Phase: evil}},
		})
		printCheck(&b, st, &status.ImageCheck{Image: evil, Result: evil, Error: evil})
		if bytes.ContainsAny(b.Bytes(), "\x1b\x07") {
			t.Errorf("control characters come through:\n%q", b.String())
		}
	})
}
