package disk

import (
	"context"
	"fmt"
	"os"
	"strconv"
)

// Empty describes a new disk without content.
type Empty struct {
	Path, Format string // absolute; "raw" or "qcow2"
	Size         int64  // bytes
}

// CreateEmpty makes a disk that reads as zeros. A disk of that name is an *ErrExists.
func (t *Tool) CreateEmpty(ctx context.Context, e Empty) error {
	if err := checkFormats(e.Format); err != nil {
		return fmt.Errorf("create %s: %w", e.Path, err)
	}
	if there, err := exists(e.Path); err != nil || there {
		if err == nil {
			err = &ErrExists{Path: e.Path, Reason: "it would be replaced"}
		}
		return err
	}
	err := Replace(e.Path, func(part string) error {
		if e.Format == "raw" {
			if err := os.Truncate(part, e.Size); err != nil {
				return err
			}
			return t.preallocate(part, e.Size)
		}
		_, err := t.qemuImg(ctx, command{
			verb:   "create",
			args:   []string{"-q", "-f", e.Format, part, strconv.FormatInt(e.Size, 10)},
			writes: []string{part},
			limits: t.opts.Inspect,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", e.Path, err)
	}
	return nil
}
