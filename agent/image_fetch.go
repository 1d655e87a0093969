package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
	"bolide/agent/config"
	"bolide/agent/status"
	"bolide/imagecache"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

func cacheOptions(c *config.Config, tool *disk.Tool, log *logrus.Entry) imagecache.Options {
	return imagecache.Options{
		Dir:         filepath.Join(c.Default.InstancesPath, c.ImageCache.SubdirectoryName),
		Locks:       filepath.Join(c.Default.InstancesPath, "locks"),
		Tool:        tool,
		ForceRaw:    c.Default.ForceRawImages,
		VMDKTypes:   c.Compute.VMDKAllowedTypes,
		Attempts:    c.Glance.NumRetries + 1,
		LocalStores: c.Bolide.ImageStores,
		LinkLocal:   c.Bolide.LinkImages,
		Log:         log.WithField("part", "images"),
	}
}

// imageSource opens images in the name of who asked for the guest.
type imageSource struct {
	images *cloud.Images
	id     cloud.Identity
}

var _ imagecache.Source = imageSource{}

func (s imageSource) Open(ctx context.Context, imageID string, offset int64) (io.ReadCloser, error) {
	body, err := s.images.Open(ctx, s.id, imageID, offset)
	if errors.Is(err, cloud.ErrNoRange) {
		err = fmt.Errorf("%w: %w", imagecache.ErrNoRange, err)
	}
	return body, err
}

// imageRecord is the plain form in which Nova passes an image along.
type imageRecord struct {
	ID              string         `json:"id"`
	Name            string         `json:"name"`
	Status          string         `json:"status"`
	DiskFormat      string         `json:"disk_format"`
	ContainerFormat string         `json:"container_format"`
	Size            int64          `json:"size"`
	MinDisk         int64          `json:"min_disk"` // GiB
	MinRAM          int64          `json:"min_ram"`  // MiB
	Checksum        string         `json:"checksum"` // MD5
	HashAlgo        string         `json:"os_hash_algo"`
	HashValue       string         `json:"os_hash_value"`
	Properties      map[string]any `json:"properties"`
}

// recordOf is the plain form of what Glance says.
func recordOf(i *cloud.Image) imageRecord {
	r := imageRecord{
		ID: i.ID, Name: i.Name, Status: i.Status, DiskFormat: i.DiskFormat, ContainerFormat: i.ContainerFormat,
		Size: i.Size, MinDisk: i.MinDisk, MinRAM: i.MinRAM, Checksum: i.Checksum, HashAlgo: i.HashAlgo, HashValue: i.HashValue,
		Properties: make(map[string]any, len(i.Properties)),
	}
	for k, v := range i.Properties {
		r.Properties[k] = v
	}
	return r
}

// meta is the image's description as the guest's machine follows it.
func (r imageRecord) meta() nova.ImageMeta {
	return nova.ImageFromDict(map[string]any{
		"id": r.ID, "name": r.Name, "status": r.Status, "disk_format": r.DiskFormat, "container_format": r.ContainerFormat,
		"size": r.Size, "min_disk": r.MinDisk, "min_ram": r.MinRAM, "checksum": r.Checksum, "properties": r.Properties,
	})
}

// cacheImage is what the image cache has to know of an image.
func (r imageRecord) cacheImage() imagecache.Image {
	img := imagecache.Image{
		ID: r.ID, DiskFormat: r.DiskFormat, ContainerFormat: r.ContainerFormat, Size: r.Size,
		HashAlgo: r.HashAlgo, HashValue: r.HashValue, MD5: r.Checksum, Properties: map[string]string{},
	}
	for name, value := range r.Properties {
		if text, ok := value.(string); ok {
			img.Properties[name] = text
		}
	}
	return img
}

// cached is the base that the image is in the cache, fetched first if need be; limit is how many bytes the disk to be
// made of it may have, 0: any.
func (t *task) cached(ctx context.Context, r imageRecord, limit int64) (*imagecache.Base, error) {
	img, outcome := r.cacheImage(), status.CacheHit
	img.Limit = limit
	if !t.images.Cached(r.ID) {
		outcome = status.CacheMiss
		img.Locations = t.locations(ctx, r.ID)
		var err error
		if img.Signatures, err = t.signatures(ctx); err != nil {
			return nil, err
		}
	}
	base, err := t.images.Get(ctx, img, imageSource{t.cloud.Images(), t.id}, t.entry.Progress)
	if err != nil {
		outcome = status.CacheFail
	}
	t.metrics.ImageCache(outcome)
	return base, err
}

// signatures says how images' own signatures are checked; nil: they are not. Certificates that a user trusts are heeded
// whatever the host's configuration says.
func (t *task) signatures(ctx context.Context) (*imagecache.Signatures, error) {
	glance := t.cfg.Glance
	trusted, err := t.trustedCerts(ctx)
	if err != nil {
		return nil, err
	}
	if len(trusted) == 0 && glance.EnableCertificateValidation {
		trusted = glance.DefaultTrustedCertificateIDs
	}
	if len(trusted) == 0 && !glance.VerifyGlanceSignatures {
		return nil, nil
	}
	return &imagecache.Signatures{
		Trusted: trusted,
		Certificate: func(ctx context.Context, id string) (*x509.Certificate, error) {
			return t.cloud.Keys().Certificate(ctx, t.id, id)
		},
	}, nil
}

// trustedCerts are the ids of the certificates that the instance's owner named.
func (t *task) trustedCerts(ctx context.Context) ([]string, error) {
	switch {
	case t.inst == nil:
		return nil, nil
	case t.inst.Has("trusted_certs"):
		return t.inst.TrustedCerts(), nil
	}
	certs, err := t.cond.InstanceTrustedCerts(ctx, t.inst.UUID())
	if err != nil {
		return nil, fmt.Errorf("read the trusted certificates: %w", err)
	}
	return certs.Strings("ids"), nil
}

// locations are where Glance keeps the image, as far as it tells (show_multiple_locations, show_image_direct_url), for a
// host that has one of its stores. Not knowing them costs a download.
func (t *task) locations(ctx context.Context, id string) []imagecache.Location {
	if len(t.cfg.Bolide.ImageStores) == 0 {
		return nil
	}
	image, err := t.cloud.Images().Get(ctx, t.id, id)
	if err != nil {
		t.log.WithError(err).WithField("image", id).Warn("where the image lies is not known, it is downloaded")
		return nil
	}
	var all []imagecache.Location
	for _, l := range image.Locations {
		all = append(all, imagecache.Location{URL: l.URL})
	}
	if image.DirectURL != "" {
		all = append(all, imagecache.Location{URL: image.DirectURL})
	}
	return all
}

// bring brings an image that is known by its id alone into the cache.
func (t *task) bring(ctx context.Context, id string) (*imagecache.Base, error) {
	image, err := t.cloud.Images().Get(ctx, t.id, id)
	if err != nil {
		return nil, glanceError(id, err)
	}
	return t.cached(ctx, recordOf(image), 0)
}
