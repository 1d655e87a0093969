package image

import (
	"crypto/md5" //nolint:gosec // Glance's "checksum"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"

	"bolide/imagecache/format"
	"bolide/test/controller/web"
)

// download answers with the data, or with the part of it that was asked for.
func (s *Service) download(c *web.Call) error {
	r, err := s.Get(c.PathValue("id"))
	if err != nil {
		return err
	}
	if r.Status() != "active" {
		return c.Done(http.StatusNoContent)
	}
	f, err := os.Open(s.path(r.ID()))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c.Answer.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(c.Answer, c.Request, "", info.ModTime(), f)
	return nil
}

func (s *Service) upload(c *web.Call) error {
	if _, err := s.store(c.PathValue("id"), c.Body); err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

// store takes the data of a queued image.
func (s *Service) store(id string, data io.Reader) (Record, error) {
	r, err := s.change(id, func(r Record) error {
		if r.Status() != "queued" {
			return web.Refuse(http.StatusConflict, "", "Image status transition from %s to saving is not allowed", r.Status())
		}
		r["status"] = "saving"
		return nil
	})
	if err != nil {
		return nil, err
	}
	facts, err := s.write(r, data)
	if err != nil {
		_, again := s.change(id, func(r Record) error { r["status"] = "queued"; return nil })
		return nil, errors.Join(err, os.Remove(s.path(id)), again)
	}
	return s.change(id, func(r Record) error {
		for name, value := range facts {
			r[name] = value
		}
		return nil
	})
}

// write stores data and returns what is then known of the image.
func (s *Service) write(r Record, data io.Reader) (Record, error) {
	f, err := os.Create(s.path(r.ID()))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	checksum, hash := md5.New(), sha512.New() //nolint:gosec // as above
	size, err := io.Copy(io.MultiWriter(f, checksum, hash), data)
	if err != nil {
		return nil, web.Refuse(http.StatusBadRequest, "", "the data broke off: %s", err)
	}
	virtual := any(nil)
	if info, err := format.Detect(f, size); err == nil && info.VirtualSize > 0 {
		virtual = info.VirtualSize
	}
	return Record{
		"status": "active", "size": size, "virtual_size": virtual,
		"checksum": hex.EncodeToString(checksum.Sum(nil)), "os_hash_algo": "sha512", "os_hash_value": hex.EncodeToString(hash.Sum(nil)),
		"locations": []any{map[string]any{"url": "file://" + f.Name(), "metadata": map[string]string{"store": "fs"}}}, "stores": "fs",
	}, f.Close()
}

// Add makes an image of a file, unless there is one of that name; for the images
// that a cloud begins with.
func (s *Service) Add(name, diskFormat, file, owner string) (Record, error) {
	existing, err := s.find(map[string][]string{"name": {name}})
	if err != nil || len(existing) > 0 {
		return firstOf(existing), err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := newRecord(owner)
	r["name"], r["disk_format"], r["container_format"], r["visibility"] = name, diskFormat, "bare", "public"
	if err := s.put(r); err != nil {
		return nil, err
	}
	return s.store(r.ID(), f)
}

// Create makes a record without data, in the name of a project: what the compute
// service does for a snapshot.
func (s *Service) Create(owner string, attributes Record) (Record, error) {
	r := newRecord(owner)
	for name, value := range attributes {
		r[name] = value
	}
	return r, s.put(r)
}

func firstOf(list []Record) Record {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}
