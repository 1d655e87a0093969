package agent

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bolide/agent/resources"
	"bolide/agent/status"
	"bolide/imagecache"
)

func TestImageWindow(t *testing.T) {
	n := newNode(t, map[string]string{
		"bolide.image_cache_size": "7", "workarounds.reserve_disk_resource_for_image_cache": "true",
	})
	used, unused := n.addFile(t, "raw", diskContent()).ID(), n.addImage(t, "unused")
	if err := n.makeRootDisk(t, "00000000-0000-0000-0000-000000000001", used); err != nil {
		t.Fatal(err)
	}
	if err := n.ownTaskFor(t).cacheImage(within(t, patience), unused); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(n.cfg.Default.InstancesPath, n.cfg.ImageCache.SubdirectoryName)
	if err := os.WriteFile(filepath.Join(base, imagecache.SwapName(64)), make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := n.ListImages(within(t, patience))
	if err != nil || len(list.Images) != 3 || list.Limit != 7*gib || list.Bytes < 8<<20 || len(list.Work) != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, i := range list.Images {
		switch i.Image {
		case used:
			if i.Users != 1 || !i.Verified || i.Format != "raw" || i.VirtualSize != 8<<20 || time.Since(i.LastUse) > patience {
				t.Errorf("%+v", i)
			}
		case unused, "":
			if i.Users != 0 || i.Verified != (i.Image != "") {
				t.Errorf("%+v", i)
			}
		}
	}

	var figures resources.Figures
	if err := (probe{n.Agent}).measureDisk(t.Context(), &figures); err != nil || figures.ImageCacheGB != 1 {
		t.Errorf("Placement is told of %d GiB in the cache, %v", figures.ImageCacheGB, err)
	}

	results := func(name string) map[string]string {
		got := map[string]string{}
		if err := n.VerifyImages(within(t, patience), name, func(c status.ImageCheck) {
			if c.Result != "" {
				got[c.Image] = c.Result
			}
		}); err != nil {
			t.Error(err)
		}
		return got
	}
	f, err := os.OpenFile(filepath.Join(base, imagecache.Name(used)), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("changed"), 1<<20); err != nil {
		t.Fatal(err)
	}
	if got := results(""); got[used] != status.ImageDamaged || got[unused] != status.ImageIntact || got[""] != status.ImageUnverifiable {
		t.Errorf("verified: %v", got)
	}
	if got := results(unused); len(got) != 1 || got[unused] != status.ImageIntact {
		t.Errorf("verified alone: %v", got)
	}
	if err := n.VerifyImages(within(t, patience), "nowhere", func(status.ImageCheck) {}); err == nil {
		t.Error("an image that is not there is verified")
	}

	for _, tc := range []struct {
		request status.PruneRequest
		want    []string // images removed
	}{
		{status.PruneRequest{}, nil},
		{status.PruneRequest{DryRun: true}, nil},
		{status.PruneRequest{DryRun: true, All: true}, []string{"", unused}},
		{status.PruneRequest{All: true}, []string{"", unused}},
		{status.PruneRequest{All: true}, nil},
	} {
		r, err := n.PruneImages(within(t, patience), tc.request)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range r.Removed {
			got = append(got, i.Image)
		}
		slices.Sort(got)
		if !slices.Equal(got, tc.want) || r.Kept == 0 {
			t.Errorf("%+v removed %q and kept %d", tc.request, got, r.Kept)
		}
	}
}
