package agent

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bolide/imagecache"
	"bolide/rpc"
	"bolide/test/virt"
)

// addImage gives the image service an image that the smallest guest boots from.
func (n *node) addImage(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := virt.WriteBootDisk(file); err != nil {
		t.Fatal(err)
	}
	r, err := n.glance.Add(name, "raw", file, "project")
	if err != nil {
		t.Fatal(err)
	}
	return r.ID()
}

func TestCacheImages(t *testing.T) {
	n := newNode(t, nil)
	first, second := n.addImage(t, "first"), n.addImage(t, "second")
	ask := func(ids ...string) map[string]string {
		raw, err := json.Marshal(ids)
		if err != nil {
			t.Fatal(err)
		}
		r := &rpc.Request{Method: "cache_images", IsCall: true, Context: rpc.AdminContext(), Args: map[string]json.RawMessage{"image_ids": raw}}
		got, err := n.handler(opCacheImages(n.Agent))(within(t, patience), r)
		if err != nil {
			t.Fatal(err)
		}
		return got.(map[string]string)
	}
	if got, want := ask(first), map[string]string{first: "cached"}; !maps.Equal(got, want) {
		t.Errorf("answered %v, want %v", got, want)
	}
	got, want := ask(first, second, "nowhere"), map[string]string{first: "existing", second: "cached", "nowhere": "error"}
	if !maps.Equal(got, want) {
		t.Errorf("answered %v, want %v", got, want)
	}
}

func TestSweepImages(t *testing.T) {
	n := newNode(t, nil)
	names := map[string]string{}
	for _, name := range []string{"of an instance", "of a kernel", "unused", "young"} {
		id := n.addImage(t, name)
		if err := n.ownTaskFor(t).cacheImage(within(t, patience), id); err != nil {
			t.Fatal(err)
		}
		names[name] = id
	}
	used := imagecache.SwapName(64)
	base := filepath.Join(n.cfg.Default.InstancesPath, n.cfg.ImageCache.SubdirectoryName)
	for _, name := range []string{used, imagecache.SwapName(65)} {
		if err := os.WriteFile(filepath.Join(base, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-48 * time.Hour)
	files, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != imagecache.Name(names["young"]) {
			if err := os.Chtimes(filepath.Join(base, f.Name()), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	i := n.newInstance("22222222-2222-2222-2222-222222222222")
	i.Set("image_ref", names["of an instance"])
	i.Set("kernel_id", names["of a kernel"])
	swap := n.profile.New("BlockDeviceMapping")
	for field, value := range map[string]any{
		"instance_uuid": i.Str("uuid"), "source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 64,
	} {
		swap.Set(field, value)
	}
	n.conductor.answers["InstanceList.get_by_filters"] = n.profile.NewList("InstanceList", i)
	n.conductor.answers["BlockDeviceMappingList.get_by_instance_uuids"] = n.profile.NewList("BlockDeviceMappingList", swap)
	if err := n.sweepImages(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]bool{
		imagecache.Name(names["of an instance"]): true, imagecache.Name(names["of a kernel"]): true, imagecache.Name(names["young"]): true,
		imagecache.Name(names["unused"]): false, used: true, imagecache.SwapName(65): false,
	} {
		if _, err := os.Stat(filepath.Join(base, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	asked := n.conductor.filters["InstanceList.get_by_filters"].(map[string]any)
	if hosts := asked["host"].([]string); len(hosts) != 1 || hosts[0] != "here" || asked["deleted"] != false || asked["soft_deleted"] != true {
		t.Errorf("asked for %v", asked)
	}
}

// ownTaskFor is a task of the node's own, on the board.
func (n *node) ownTaskFor(t *testing.T) *task {
	t.Helper()
	own := n.ownTask("test", "", rpc.AdminContext())
	own.entry = n.board.Begin(own.describe())
	t.Cleanup(func() { own.entry.End(nil) })
	return own
}
