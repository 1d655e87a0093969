package disk

import (
	"context"
	"fmt"
)

// Convert describes a conversion of a whole disk into a new file.
type Convert struct {
	Src, SrcFormat string // absolute path; QEMU's name of the format
	Dst, DstFormat string // absolute path; replaced when it exists
	Compress       bool   // compress clusters; qcow2 only
	MaxSize        int64  // bytes the disk may have; 0 is no bound
	Shared         bool   // the source is in use by a guest that does not write to it
}

// Convert writes a copy of a disk in another format, without holes filled in. The source stands alone: a backing file
// its header may name is not read. Its virtual size above MaxSize is an *ErrTooLarge, found before any byte is
// written.
func (t *Tool) Convert(ctx context.Context, c Convert) error {
	return t.convert(ctx, c, layer{path: c.Src, format: c.SrcFormat})
}

// Extract writes a disk of this host and all it rests on into one flat file: the data of a snapshot. The disk's
// chain is followed by what its own headers state (see Chain); its formats are stated to qemu-img layer by layer.
func (t *Tool) Extract(ctx context.Context, c Convert) error {
	l, err := trustedLayers(c.Src, c.SrcFormat)
	if err != nil {
		return fmt.Errorf("extract %s: %w", c.Src, err)
	}
	return t.convert(ctx, c, l)
}

func (t *Tool) convert(ctx context.Context, c Convert, src layer) error {
	if err := checkFormats(append(src.formats(), c.DstFormat)...); err != nil {
		return fmt.Errorf("convert %s: %w", c.Src, err)
	}
	size, err := VirtualSize(c.Src, c.SrcFormat)
	if err != nil {
		return fmt.Errorf("convert %s: %w", c.Src, err)
	}
	if c.MaxSize > 0 && size > c.MaxSize {
		return &ErrTooLarge{Image: c.Src, ImageSize: size, DiskSize: c.MaxSize}
	}
	release, err := t.Slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	name, err := src.source()
	if err != nil {
		return err
	}
	args := []string{"-q", "-t", "writeback", "-m", "8", "-W", "-O", c.DstFormat}
	if c.Compress && c.DstFormat == "qcow2" {
		args = append(args, "-c")
	}
	if c.Shared {
		args = append(args, "-U")
	}
	err = replace(c.Dst, func(part string) error {
		_, err := t.qemuImg(ctx, command{
			verb:   "convert",
			args:   append(args, name, part),
			reads:  src.paths(),
			writes: []string{part},
			limits: t.opts.Convert,
			output: size + size/8 + 64<<20, // the disk itself and generously its tables
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("convert %s to %s: %w", c.Src, c.DstFormat, err)
	}
	return nil
}
