package disk

import (
	"context"
	"fmt"
	"os"
)

// Empty describes a new disk without content.
type Empty struct {
	Path, Format string // absolute; "raw" or "qcow2"
	Size         int64  // bytes
}

// CreateEmpty makes a disk that reads as zeros. A disk of that name is an *ErrExists.
func (t *Tool) CreateEmpty(ctx context.Context, e Empty) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.Format != "raw" && e.Format != "qcow2" {
		return fmt.Errorf("create %s: %w", e.Path, &ErrFormat{Format: e.Format})
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
		return emptyQCOW2{size: e.Size}.write(part)
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", e.Path, err)
	}
	return nil
}
