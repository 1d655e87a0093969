package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Copy describes a byte-for-byte copy of a file, holes kept.
type Copy struct {
	Src, Dst string
	// Replace allows Dst to exist; otherwise an existing Dst is an *ErrExists.
	Replace bool
	Size    int64 // bytes a raw copy is grown to, with a hole; 0 leaves it as it is

	// Progress is told now and then up to which byte of the file all is copied. Optional; called from one goroutine.
	Progress func(done, total int64)
}

// Copy copies a file by reflink where the file system can share blocks, else by copying its data and leaving its holes
// holes. A Size below the file's is an *ErrTooLarge.
func (t *Tool) Copy(ctx context.Context, c Copy) error {
	if there, err := exists(c.Dst); err != nil || there && !c.Replace {
		if err == nil {
			err = &ErrExists{Path: c.Dst, Reason: "a copy would replace it"}
		}
		return err
	}
	src, err := os.Open(c.Src)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", c.Dst, err)
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	if c.Size > 0 && st.Size() > c.Size {
		return &ErrTooLarge{Image: c.Src, ImageSize: st.Size(), DiskSize: c.Size}
	}
	release, err := t.Slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = Replace(c.Dst, func(part string) error {
		dst, err := os.OpenFile(part, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer dst.Close()
		if err := Background(func() error { return copySparse(ctx, sparse{dst: dst, src: src, size: st.Size(), tell: c.Progress}) }); err != nil {
			return err
		}
		if size := max(c.Size, st.Size()); size > 0 {
			if err := dst.Truncate(size); err != nil {
				return err
			}
			return t.preallocate(part, size)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", c.Src, c.Dst, err)
	}
	return nil
}

const copyStep = 64 << 20 // bytes between two looks at the context

// CopySparse copies the first size bytes of src to the empty file dst: a reflink where possible, otherwise the data
// between the holes inside the kernel.
func CopySparse(ctx context.Context, dst, src *os.File, size int64) error {
	return copySparse(ctx, sparse{dst: dst, src: src, size: size})
}

// sparse is a copy between two open files.
type sparse struct {
	dst, src *os.File
	size     int64
	tell     func(done, total int64) // nil: nobody wants to know
}

func copySparse(ctx context.Context, s sparse) error {
	dst, src, size := s.dst, s.src, s.size
	if err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())); err == nil {
		return nil
	}
	if err := dst.Truncate(size); err != nil {
		return err
	}
	for off := int64(0); off < size; {
		data, err := unix.Seek(int(src.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return fmt.Errorf("find data: %w", err)
		}
		hole, err := unix.Seek(int(src.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("find hole: %w", err)
		}
		if err := s.copyRange(ctx, data, min(hole, size)); err != nil {
			return err
		}
		off = hole
	}
	return nil
}

func (s sparse) copyRange(ctx context.Context, from, to int64) error {
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		in, out := from, from
		n, err := unix.CopyFileRange(int(s.src.Fd()), &in, int(s.dst.Fd()), &out, int(min(to-from, copyStep)), 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP),
			errors.Is(err, unix.EINVAL):
			return s.copyPlain(ctx, from, to)
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		from += int64(n)
		s.report(from)
	}
	return nil
}

// copyPlain is for file systems that do not copy between each other in the kernel.
func (s sparse) copyPlain(ctx context.Context, from, to int64) error {
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := min(to-from, copyStep)
		if _, err := io.Copy(io.NewOffsetWriter(s.dst, from), io.NewSectionReader(s.src, from, step)); err != nil {
			return err
		}
		from += step
		s.report(from)
	}
	return nil
}

func (s sparse) report(done int64) {
	if s.tell != nil {
		s.tell(done, s.size)
	}
}
