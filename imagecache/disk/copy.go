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
		if err := Background(func() error { return CopySparse(ctx, dst, src, st.Size()) }); err != nil {
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
		if err := copyRange(ctx, dst, src, data, min(hole, size)); err != nil {
			return err
		}
		off = hole
	}
	return nil
}

func copyRange(ctx context.Context, dst, src *os.File, from, to int64) error {
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		in, out := from, from
		n, err := unix.CopyFileRange(int(src.Fd()), &in, int(dst.Fd()), &out, int(min(to-from, copyStep)), 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP),
			errors.Is(err, unix.EINVAL):
			return copyPlain(ctx, dst, src, from, to)
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		from += int64(n)
	}
	return nil
}

// copyPlain is for file systems that do not copy between each other in the kernel.
func copyPlain(ctx context.Context, dst, src *os.File, from, to int64) error {
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := min(to-from, copyStep)
		if _, err := io.Copy(io.NewOffsetWriter(dst, from), io.NewSectionReader(src, from, step)); err != nil {
			return err
		}
		from += step
	}
	return nil
}
