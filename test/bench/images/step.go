package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"bolide/imagecache"
	"bolide/imagecache/disk"
)

// Step is what one of the bench's processes does: "boot GLANCE INSTANCES IMAGE SIZE BOOTS" makes root disks as Bolide's
// node does, "convert IMAGE FILE" makes a qcow2 image raw. What it took is written to w.
func Step(ctx context.Context, args []string, w io.Writer) error {
	var a answer
	var err error
	switch {
	case len(args) == 6 && args[0] == "boot":
		a.Boots, err = boot(ctx, args[1:])
	case len(args) == 3 && args[0] == "convert":
		a.Boots, err = convert(ctx, args[1], args[2])
	default:
		err = fmt.Errorf("not a step: %q", args)
	}
	if err != nil {
		return err
	}
	if a.Peak, err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(a)
}

func newTool() (*disk.Tool, *logrus.Entry, error) {
	log := logrus.New()
	log.SetLevel(logrus.ErrorLevel)
	tool, err := disk.New(disk.Options{Log: logrus.NewEntry(log)})
	return tool, logrus.NewEntry(log), err
}

func boot(ctx context.Context, args []string) ([]float64, error) {
	glance, instances, id := args[0], args[1], args[2]
	size, err := strconv.ParseInt(args[3], 10, 64)
	if err != nil {
		return nil, err
	}
	boots, err := strconv.Atoi(args[4])
	if err != nil {
		return nil, err
	}
	tool, log, err := newTool()
	if err != nil {
		return nil, err
	}
	cache, err := imagecache.New(imagecache.Options{Dir: filepath.Join(instances, "_base"), Tool: tool, ForceRaw: true, Log: log})
	if err != nil {
		return nil, err
	}
	defer cache.Close()
	source := glanceSource(glance + "/v2/images/")
	img, err := source.image(ctx, id)
	if err != nil {
		return nil, err
	}
	img.Limit = size
	var took []float64
	for range boots {
		path := filepath.Join(instances, uuid.NewString(), "disk")
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		start := time.Now()
		base, err := cache.Get(ctx, img, source, nil)
		if err != nil {
			return nil, err
		}
		err = tool.CreateOverlay(ctx, disk.Overlay{Path: path, Base: base.Path, BaseFormat: base.Format, Size: size})
		if err != nil {
			return nil, err
		}
		if err := disk.RecordFormat(path, "qcow2"); err != nil {
			return nil, err
		}
		base.Release()
		took = append(took, time.Since(start).Seconds())
	}
	return took, nil
}

func convert(ctx context.Context, from, to string) ([]float64, error) {
	tool, _, err := newTool()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	err = tool.Convert(ctx, disk.Convert{Src: from, SrcFormat: "qcow2", Dst: to, DstFormat: "raw"})
	return []float64{time.Since(start).Seconds()}, err
}

// glanceSource is where the images are, an URL.
type glanceSource string

func (s glanceSource) get(ctx context.Context, path string, offset int64) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, string(s)+path, nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := http.DefaultClient.Do(r)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		_ = resp.Body.Close()
		err = fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return resp, err
}

// Open implements [imagecache.Source].
func (s glanceSource) Open(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	resp, err := s.get(ctx, id+"/file", offset)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (s glanceSource) image(ctx context.Context, id string) (imagecache.Image, error) {
	resp, err := s.get(ctx, id, 0)
	if err != nil {
		return imagecache.Image{}, err
	}
	defer resp.Body.Close()
	var r struct {
		DiskFormat string `json:"disk_format"`
		Size       int64  `json:"size"`
		HashAlgo   string `json:"os_hash_algo"`
		HashValue  string `json:"os_hash_value"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return imagecache.Image{}, err
	}
	return imagecache.Image{
		ID: id, DiskFormat: r.DiskFormat, ContainerFormat: "bare", Size: r.Size, HashAlgo: r.HashAlgo, HashValue: r.HashValue,
	}, nil
}
