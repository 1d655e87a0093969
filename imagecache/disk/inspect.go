package disk

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"bolide/imagecache/format"
)

// inspected is what a file's bytes say. A file that pretends to a format and breaks it is still a file: err is kept
// apart, since a raw disk may look like anything.
type inspected struct {
	format.Info
	fileSize int64
	err      error
}

func inspect(path string) (inspected, error) {
	f, err := os.Open(path)
	if err != nil {
		return inspected{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return inspected{}, err
	}
	info, err := format.Detect(f, st.Size())
	return inspected{Info: info, fileSize: st.Size(), err: err}, nil
}

// Info is what qemu-img says of a disk.
type Info struct {
	Format        string `json:"format"`
	VirtualSize   int64  `json:"virtual-size"` // bytes
	ActualSize    int64  `json:"actual-size"`  // bytes taken on disk
	ClusterSize   int64  `json:"cluster-size"` // bytes, 0 for raw
	Backing       string `json:"backing-filename"`
	BackingFormat string `json:"backing-filename-format"`
	Dirty         bool   `json:"dirty-flag"`
	Specific      struct {
		Data struct {
			DataFile   string `json:"data-file"`
			CreateType string `json:"create-type"`
		} `json:"data"`
	} `json:"format-specific"`
}

// Info asks qemu-img about a disk whose format is known. The disk may be in use. It opens no other file.
func (t *Tool) Info(ctx context.Context, path, format string) (Info, error) {
	out, err := t.qemuImg(ctx, command{
		verb:   "info",
		args:   []string{"-f", format, "-U", "--output=json", path},
		reads:  []string{path},
		limits: t.opts.Inspect,
	})
	if err != nil {
		return Info{}, fmt.Errorf("inspect %s: %w", path, err)
	}
	var info Info
	if err := json.Unmarshal(out, &info); err != nil {
		return Info{}, fmt.Errorf("inspect %s: read answer of qemu-img: %w", path, err)
	}
	return info, nil
}

// VirtualSize returns the bytes a guest sees of a disk in the stated format, without running a tool where the format
// is one that guests' disks have.
func VirtualSize(path, stated string) (int64, error) {
	if err := checkFormats(stated); err != nil {
		return 0, err
	}
	info, err := inspect(path)
	if err != nil {
		return 0, err
	}
	if stated == "raw" {
		return info.fileSize, nil
	}
	if info.err != nil {
		return 0, fmt.Errorf("disk %s: %w", path, info.err)
	}
	if info.Format.QEMU() != stated {
		return 0, fmt.Errorf("disk %s: is %s, not %s", path, info.Format, stated)
	}
	return info.VirtualSize, nil
}
