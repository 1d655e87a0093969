package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Images is the Glance v2 client.
type Images struct{ svc *service }

// Image is Glance's record of an image. Sizes are in bytes, MinDisk in GiB,
// MinRAM in MiB. What Glance does not count among its own attributes is in
// Properties; null values are left out.
type Image struct {
	ID              string     `json:"id"`
	Name            string     `json:"name"`
	Status          string     `json:"status"`
	Visibility      string     `json:"visibility"`
	Owner           string     `json:"owner"`
	Protected       bool       `json:"protected"`
	DiskFormat      string     `json:"disk_format"`
	ContainerFormat string     `json:"container_format"`
	Size            int64      `json:"size"`
	VirtualSize     int64      `json:"virtual_size"`
	MinDisk         int64      `json:"min_disk"`
	MinRAM          int64      `json:"min_ram"`
	Checksum        string     `json:"checksum"`
	HashAlgo        string     `json:"os_hash_algo"`
	HashValue       string     `json:"os_hash_value"`
	Hidden          bool       `json:"os_hidden"`
	Tags            []string   `json:"tags"`
	DirectURL       string     `json:"direct_url"`
	Locations       []Location `json:"locations"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`

	Properties map[string]string `json:"-"`
}

// Location is where a store keeps an image's data. It is shown only where
// Glance's show_multiple_locations says so.
type Location struct {
	URL      string         `json:"url"`
	Metadata map[string]any `json:"metadata"`
}

// baseAttributes are Glance's own attributes; everything else is a property.
var baseAttributes = []string{
	"id", "name", "status", "visibility", "owner", "protected", "disk_format", "container_format", "size",
	"virtual_size", "min_disk", "min_ram", "checksum", "os_hash_algo", "os_hash_value", "os_hidden", "tags",
	"direct_url", "locations", "created_at", "updated_at", "self", "file", "schema", "stores",
}

// UnmarshalJSON sorts Glance's flat record into attributes and properties.
func (i *Image) UnmarshalJSON(data []byte) error {
	type attributes Image
	if err := json.Unmarshal(data, (*attributes)(i)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	i.Properties = map[string]string{}
	for name, raw := range all {
		if slices.Contains(baseAttributes, name) || string(raw) == "null" {
			continue
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw) // not a string: a server newer than this client
		}
		i.Properties[name] = text
	}
	return nil
}

// Get reads one image's record.
func (c *Images) Get(ctx context.Context, id Identity, imageID string) (*Image, error) {
	image := &Image{}
	err := c.svc.do(ctx, id, request{
		method: http.MethodGet, path: imagePath(imageID), out: image, ok: []int{http.StatusOK},
	})
	if err != nil {
		return nil, err
	}
	return image, nil
}

// List reads the records that match the filters, such as owner, status or any
// property, oldest first.
func (c *Images) List(ctx context.Context, id Identity, filters url.Values) ([]Image, error) {
	query := url.Values{"sort_key": {"created_at"}, "sort_dir": {"asc"}}
	for name, values := range filters {
		query[name] = values
	}
	var images []Image
	for {
		var page struct {
			Images []Image
			Next   string
		}
		r := request{method: http.MethodGet, path: "/v2/images", query: query, out: &page, ok: []int{http.StatusOK}}
		if err := c.svc.do(ctx, id, r); err != nil {
			return nil, err
		}
		images = append(images, page.Images...)
		if page.Next == "" || len(page.Images) == 0 {
			return images, nil
		}
		next, err := url.Parse(page.Next)
		if err != nil {
			return nil, fmt.Errorf("image: next page of the list: %w", err)
		}
		query = next.Query()
	}
}

// ImageChange is the attributes and properties of a new image, or those of an
// existing one to set. Zero attributes are left as they are.
type ImageChange struct {
	Name, DiskFormat, ContainerFormat, Visibility string
	// MinDisk is in GiB, MinRAM in MiB.
	MinDisk, MinRAM *int64
	Properties      map[string]string
	// Remove names properties to take away; only with Update.
	Remove []string
}

func (c ImageChange) attributes() map[string]any {
	a := map[string]any{}
	for name, value := range c.Properties {
		a[name] = value
	}
	for name, value := range map[string]string{
		"name": c.Name, "disk_format": c.DiskFormat, "container_format": c.ContainerFormat, "visibility": c.Visibility,
	} {
		if value != "" {
			a[name] = value
		}
	}
	if c.MinDisk != nil {
		a["min_disk"] = *c.MinDisk
	}
	if c.MinRAM != nil {
		a["min_ram"] = *c.MinRAM
	}
	return a
}

// Create makes a record without data ("queued").
func (c *Images) Create(ctx context.Context, id Identity, change ImageChange) (*Image, error) {
	image := &Image{}
	err := c.svc.do(ctx, id, request{
		method: http.MethodPost, path: "/v2/images", in: change.attributes(), out: image, ok: []int{http.StatusCreated},
	})
	if err != nil {
		return nil, err
	}
	return image, nil
}

// patchOp is one step of RFC 6902, of which Glance takes a subset.
type patchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Update changes an image's record. Properties not named stay.
func (c *Images) Update(ctx context.Context, id Identity, imageID string, change ImageChange) (*Image, error) {
	ops := []patchOp{} // in a fixed order
	attributes := change.attributes()
	names := make([]string, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		// In this media type Glance's "add" replaces what exists.
		ops = append(ops, patchOp{"add", pointer(name), attributes[name]})
	}
	for _, name := range change.Remove {
		ops = append(ops, patchOp{Op: "remove", Path: pointer(name)})
	}
	return c.patch(ctx, id, imageID, ops)
}

// AddLocation tells Glance that a store already holds the image's data, as a
// snapshot made inside the store does. Needs show_multiple_locations.
func (c *Images) AddLocation(ctx context.Context, id Identity, imageID string, l Location) (*Image, error) {
	if l.Metadata == nil {
		l.Metadata = map[string]any{}
	}
	return c.patch(ctx, id, imageID, []patchOp{{"add", "/locations/-", l}})
}

func (c *Images) patch(ctx context.Context, id Identity, imageID string, ops []patchOp) (*Image, error) {
	image := &Image{}
	err := c.svc.do(ctx, id, request{
		method: http.MethodPatch, path: imagePath(imageID), in: ops, out: image, ok: []int{http.StatusOK},
		header: map[string]string{"Content-Type": "application/openstack-images-v2.1-json-patch"},
	})
	if err != nil {
		return nil, err
	}
	return image, nil
}

// AddMember lets another project use an image, as a snapshot of somebody else's
// instance must.
func (c *Images) AddMember(ctx context.Context, id Identity, imageID, projectID string) error {
	err := c.svc.do(ctx, id, request{
		method: http.MethodPost, path: imagePath(imageID) + "/members", in: map[string]string{"member": projectID}, ok: []int{http.StatusOK},
	})
	return err
}

// Delete removes an image with its data.
func (c *Images) Delete(ctx context.Context, id Identity, imageID string) error {
	err := c.svc.do(ctx, id, request{
		method: http.MethodDelete, path: imagePath(imageID), ok: []int{http.StatusNoContent},
	})
	return err
}

func imagePath(imageID string) string { return "/v2/images/" + url.PathEscape(imageID) }

// pointer is a property's name as a JSON pointer (RFC 6901).
func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
