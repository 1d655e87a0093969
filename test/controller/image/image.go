// Package image is as much of Glance's API v2 as a compute node uses: records of
// images, their data with ranges and digests, and uploads. The data lies in a
// folder, one file for each image.
//
// It starts no goroutines; a Service may be used concurrently.
package image

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// Options of a Service; all are required.
type Options struct {
	Store     *store.Store
	Dir       string // of the images' data
	Authority web.Authority
}

// Service is the image service.
type Service struct {
	*web.Mux
	o Options
}

// New makes the service and its folder.
func New(o Options) (*Service, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	s := &Service{Mux: web.NewMux(o.Authority, dialect), o: o}
	s.Handle("GET /v2/images", s.list)
	s.Handle("POST /v2/images", s.create)
	s.Handle("GET /v2/images/{id}", s.show)
	s.Handle("PATCH /v2/images/{id}", s.update)
	s.Handle("DELETE /v2/images/{id}", s.remove)
	s.Handle("GET /v2/images/{id}/file", s.download)
	s.Handle("PUT /v2/images/{id}/file", s.upload)
	s.Handle("POST /v2/images/{id}/members", s.addMember)
	return s, nil
}

// dialect: Glance explains itself in text; JSON of the kind its neighbours use
// is understood as well.
func dialect(_ *web.Call, e *web.Error) any {
	return map[string]any{"error": map[string]any{"code": e.Status, "title": http.StatusText(e.Status), "message": e.Message}}
}

// Record is an image's record as the API shows it: attributes and properties
// side by side.
type Record map[string]any

// ID of the image.
func (r Record) ID() string { return r.text("id") }

// Name of the image.
func (r Record) Name() string { return r.text("name") }

// Status is queued, saving or active.
func (r Record) Status() string { return r.text("status") }

func (r Record) text(name string) string {
	s, _ := r[name].(string)
	return s
}

const images = "images"

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05Z") }

// newRecord is an image without data.
func newRecord(owner string) Record {
	id := uuid.NewString()
	r := Record{
		"id": id, "name": nil, "status": "queued", "visibility": "shared", "owner": owner, "protected": false, "os_hidden": false,
		"disk_format": nil, "container_format": nil, "min_disk": 0, "min_ram": 0, "size": nil, "virtual_size": nil,
		"checksum": nil, "os_hash_algo": nil, "os_hash_value": nil, "tags": []string{}, "locations": []any{},
		"created_at": now(), "updated_at": now(),
		"self": "/v2/images/" + id, "file": "/v2/images/" + id + "/file", "schema": "/v2/schemas/image",
	}
	return r
}

// readOnly are attributes that the service itself sets.
var readOnly = []string{"id", "status", "owner", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at", "self", "file", "schema"}

func (s *Service) create(c *web.Call) error {
	var attributes map[string]any
	if err := c.Read(&attributes); err != nil {
		return err
	}
	r := newRecord(c.Who.ProjectID)
	if id, ok := attributes["id"].(string); ok {
		if _, err := uuid.Parse(id); err != nil {
			return web.Refuse(http.StatusBadRequest, "", "Invalid image id format")
		}
		r["id"], r["self"], r["file"] = id, "/v2/images/"+id, "/v2/images/"+id+"/file"
		delete(attributes, "id")
	}
	for name, value := range attributes {
		if slices.Contains(readOnly, name) {
			return web.Refuse(http.StatusForbidden, "", "Attribute '%s' is read-only.", name)
		}
		r[name] = value
	}
	if err := s.put(r); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, r)
}

// put keeps a new record.
func (s *Service) put(r Record) error {
	return s.o.Store.Update(func(tx *store.Tx) error {
		found, err := tx.Get(images, r.ID(), &Record{})
		if err != nil {
			return err
		}
		if found {
			return web.Refuse(http.StatusConflict, "", "Image ID %s already exists!", r.ID())
		}
		return tx.Put(images, r.ID(), r)
	})
}

// Get reads a record; a 404 for an unknown image.
func (s *Service) Get(id string) (Record, error) {
	var r Record
	err := s.o.Store.View(func(tx *store.Tx) error { return get(tx, id, &r) })
	return r, err
}

func get(tx *store.Tx, id string, r *Record) error {
	found, err := tx.Get(images, id, r)
	if err == nil && !found {
		err = web.Refuse(http.StatusNotFound, "", "No image found with ID %s", id)
	}
	return err
}

// change rewrites a record.
func (s *Service) change(id string, fn func(Record) error) (Record, error) {
	var r Record
	err := s.o.Store.Update(func(tx *store.Tx) error {
		if err := get(tx, id, &r); err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
		r["updated_at"] = now()
		return tx.Put(images, id, r)
	})
	return r, err
}

func (s *Service) show(c *web.Call) error {
	r, err := s.Get(c.PathValue("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, r)
}

// unfiltered are query parameters that select no images.
var unfiltered = []string{"limit", "marker", "sort", "sort_key", "sort_dir"}

func (s *Service) list(c *web.Call) error {
	query := c.URL.Query()
	all, err := s.find(query)
	if err != nil {
		return err
	}
	out := map[string]any{"images": all, "schema": "/v2/schemas/images", "first": strings.TrimSuffix("/v2/images?"+query.Encode(), "?")}
	return c.JSON(http.StatusOK, out)
}

// find lists the images whose records match, oldest first.
func (s *Service) find(query url.Values) ([]Record, error) {
	all := []Record{}
	err := s.o.Store.View(func(tx *store.Tx) error {
		found, err := store.All(tx, images, func(r Record) bool {
			for name, values := range query {
				if !slices.Contains(unfiltered, name) && !slices.Contains(values, fmt.Sprint(r[name])) {
					return false
				}
			}
			return true
		})
		all = append(all, found...)
		return err
	})
	slices.SortStableFunc(all, func(a, b Record) int { return strings.Compare(a.text("created_at"), b.text("created_at")) })
	if query.Get("sort_dir") != "asc" {
		slices.Reverse(all)
	}
	return all, err
}

// patch is one step of a change, of RFC 6902.
type patch struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func (s *Service) update(c *web.Call) error {
	var steps []patch
	if err := json.NewDecoder(c.Body).Decode(&steps); err != nil {
		return web.Refuse(http.StatusBadRequest, "", "malformed patch: %s", err)
	}
	r, err := s.change(c.PathValue("id"), func(r Record) error {
		for _, p := range steps {
			name := strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.TrimPrefix(p.Path, "/"))
			if slices.Contains(readOnly, name) {
				return web.Refuse(http.StatusForbidden, "", "Attribute '%s' is read-only.", name)
			}
			switch p.Op {
			case "add", "replace":
				r[name] = p.Value
			case "remove":
				delete(r, name)
			default:
				return web.Refuse(http.StatusBadRequest, "", "Operations must be one of add, replace, remove")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, r)
}

func (s *Service) remove(c *web.Call) error {
	id := c.PathValue("id")
	err := s.o.Store.Update(func(tx *store.Tx) error {
		var r Record
		if err := get(tx, id, &r); err != nil {
			return err
		}
		return tx.Delete(images, id)
	})
	if err != nil {
		return err
	}
	if err := os.Remove(s.path(id)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return c.Done(http.StatusNoContent)
}

func (s *Service) addMember(c *web.Call) error {
	var in struct{ Member string }
	if err := c.Read(&in); err != nil {
		return err
	}
	id := c.PathValue("id")
	if _, err := s.Get(id); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{
		"image_id": id, "member_id": in.Member, "status": "pending", "schema": "/v2/schemas/member", "created_at": now(), "updated_at": now(),
	})
}

// path of an image's data. Ids are uuids, checked when the record is made.
func (s *Service) path(id string) string { return filepath.Join(s.o.Dir, id) }
