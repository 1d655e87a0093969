package cloud_test

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/cloud"
	"bolide/agent/cloud/cloudtest"
)

// TestImageLife follows a snapshot's image from its record to its end.
func TestImageLife(t *testing.T) {
	world := cloudtest.New(t, "image_life")
	images := world.Open().Images()
	id := world.User("admin")
	ctx := t.Context()
	const data = "the disk of a guest"

	image, err := images.Create(ctx, id, cloud.ImageChange{
		Name: "bolide-test", DiskFormat: "raw", ContainerFormat: "bare",
		Properties: map[string]string{"base_image_ref": "none", "odd/name~": "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if image.Status != "queued" || image.Properties["odd/name~"] != "x" {
		t.Fatalf("created %+v", image)
	}
	if _, err := images.Open(ctx, id, image.ID, 0); !errors.Is(err, cloud.ErrNoData) {
		t.Errorf("open without data: %v", err)
	}
	minDisk := int64(1)
	changed, err := images.Update(ctx, id, image.ID, cloud.ImageChange{
		Name: "bolide-renamed", MinDisk: &minDisk,
		Properties: map[string]string{"base_image_ref": "some", "image_type": "snapshot"}, Remove: []string{"odd/name~"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"base_image_ref": "some", "image_type": "snapshot"}
	if changed.Name != "bolide-renamed" || changed.MinDisk != 1 || !cmp.Equal(changed.Properties, want) {
		t.Errorf("changed %+v", changed)
	}

	if err := images.AddMember(ctx, id, image.ID, "465549cb031244c2be84c17eb43abfd6"); err != nil {
		t.Error(err)
	}

	var seen []int64
	err = images.Upload(ctx, id, image.ID, cloud.Upload{
		Body: strings.NewReader(data), Size: int64(len(data)), Progress: func(done, _ int64) { seen = append(seen, done) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) == 0 || seen[len(seen)-1] != int64(len(data)) {
		t.Errorf("progress %v", seen)
	}
	got, err := images.Get(ctx, id, image.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != "active" || got.Size != int64(len(data)) || got.HashAlgo != "sha512" || len(got.HashValue) != 128 {
		t.Errorf("stored %+v", got)
	}
	for _, offset := range []int64{0, 9} {
		body, err := images.Open(ctx, id, image.ID, offset)
		if err != nil {
			t.Fatalf("open at %d: %v", offset, err)
		}
		part, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil || string(part) != data[offset:] {
			t.Errorf("read from %d: %q, %v", offset, part, err)
		}
	}
	if _, err := images.Open(ctx, id, image.ID, 1000); !errors.Is(err, cloud.ErrNoRange) {
		t.Errorf("open behind the end: %v", err)
	}
	list, err := images.List(ctx, id, url.Values{"image_type": {"snapshot"}, "name": {"bolide-renamed"}})
	if err != nil || len(list) != 1 || list[0].ID != image.ID {
		t.Errorf("list: %v, %v", list, err)
	}
	if err := images.Delete(ctx, id, image.ID); err != nil {
		t.Error(err)
	}
	_, err = images.Get(ctx, id, image.ID)
	var refused *cloud.Error
	if !errors.As(err, &refused) || !cloud.IsNotFound(err) {
		t.Fatalf("get after delete: %v", err)
	}
	if refused.Message != "No image found with ID "+image.ID || refused.RequestID == "" || refused.Service != "image" {
		t.Errorf("refusal %+v", refused)
	}
}
