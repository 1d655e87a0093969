package disk

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// Convert describes a conversion of a whole disk into a new file.
type Convert struct {
	Src, SrcFormat string // absolute path; QEMU's name of the format
	Dst, DstFormat string // absolute path; replaced when it exists
	Compress       bool   // compress clusters; qcow2 only
	MaxSize        int64  // bytes the disk may have; 0 is no bound
	Shared         bool   // the source is in use by a guest that does not write to it

	// Progress is told now and then how many bytes of the disk are done. Optional; called from one goroutine.
	Progress func(done, total int64)
}

// Convert writes a copy of a disk in another format, without holes filled in. The source stands alone: a backing file
// its header may name is not read. Its virtual size above MaxSize is an *ErrTooLarge, found before any byte is
// written.
func (t *Tool) Convert(ctx context.Context, c Convert) error {
	return t.convert(ctx, c, layer{path: c.Src, format: c.SrcFormat})
}

// Reformat gives a disk that no guest uses another format, in its place, and notes that in the disk.info beside it. The
// note comes last: until then a disk that was raw is taken for raw, which is safe whatever it holds.
func (t *Tool) Reformat(ctx context.Context, path, from, to string) error {
	if err := t.Convert(ctx, Convert{Src: path, SrcFormat: from, Dst: path, DstFormat: to}); err != nil {
		return err
	}
	return noteFormat(path, to)
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
	args := []string{"-p", "-m", "8", "-W", "-O", c.DstFormat}
	if c.Compress && c.DstFormat == "qcow2" {
		args = append(args, "-c")
	}
	if c.Shared {
		args = append(args, "-U")
	}
	err = Replace(c.Dst, func(part string) error {
		_, err := t.qemuImg(ctx, command{
			verb:   "convert",
			args:   append(args, "-t", cacheMode(part), name, part),
			reads:  src.paths(),
			writes: []string{part},
			limits: t.opts.Convert,
			output: size + size/8 + 64<<20, // the disk itself and generously its tables
			stdout: &percent{tell: c.Progress, total: size},
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("convert %s to %s: %w", c.Src, c.DstFormat, err)
	}
	return nil
}

// cacheMode keeps the host's page cache for others where the file system can: what is converted is not read again
// soon.
func cacheMode(path string) string {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return "writeback"
	}
	unix.Close(fd)
	return "none"
}

// percent reads qemu-img's progress, "    (12.34/100%)" and a carriage return, and tells it in bytes.
type percent struct {
	tell  func(done, total int64)
	total int64
	line  []byte
}

func (p *percent) Write(b []byte) (int, error) {
	for _, c := range b {
		switch {
		case c == '\r' || c == '\n':
			p.report()
			p.line = p.line[:0]
		case len(p.line) < 64:
			p.line = append(p.line, c)
		}
	}
	return len(b), nil
}

func (p *percent) report() {
	var done float64
	if _, err := fmt.Sscanf(string(p.line), " (%f/100%%)", &done); err != nil || p.tell == nil {
		return
	}
	p.tell(int64(done/100*float64(p.total)), p.total)
}
