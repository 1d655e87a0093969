package disk

import (
	"context"
	"fmt"
)

// Rebase describes what a disk is to rest on.
type Rebase struct {
	Path       string // a qcow2 disk that no guest uses
	Base       string // the new base; empty makes the disk stand alone
	BaseFormat string // QEMU's name of the base's format; empty when Base is
	// SameContent says that the new base holds what the old one holds, so that only the reference changes.
	SameContent bool
}

// Rebase changes what a disk rests on. Without SameContent the difference between the bases is copied into the disk
// first, in place: what the guest sees stays the same at every moment, also over a crash.
func (t *Tool) Rebase(ctx context.Context, r Rebase) error {
	l, err := trustedLayers(r.Path, "qcow2")
	if err != nil {
		return fmt.Errorf("rebase %s: %w", r.Path, err)
	}
	args := []string{"-q", "-f", "qcow2", "-b", r.Base}
	reads := l.paths()
	limits := t.opts.Convert
	if r.Base != "" {
		if _, err := inspectBase(r.Base, r.BaseFormat); err != nil {
			return fmt.Errorf("rebase %s: %w", r.Path, err)
		}
		args = append(args, "-F", r.BaseFormat)
		reads = append(reads, r.Base)
	}
	if r.SameContent {
		args = append(args, "-u")
		limits = t.opts.Inspect
	} else {
		release, err := t.Slot(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	_, err = t.qemuImg(ctx, command{
		verb:   "rebase",
		args:   append(args, r.Path),
		reads:  reads,
		writes: []string{r.Path},
		limits: limits,
	})
	if err != nil {
		return fmt.Errorf("rebase %s: %w", r.Path, err)
	}
	return syncFile(r.Path)
}

// Flatten makes a disk stand alone, as a resize or migration to a host without its base needs. The result replaces
// the disk at once when it is whole.
func (t *Tool) Flatten(ctx context.Context, path string) error {
	l, err := trustedLayers(path, "qcow2")
	if err != nil {
		return fmt.Errorf("flatten %s: %w", path, err)
	}
	if l.backing == nil {
		return nil
	}
	return t.Extract(ctx, Convert{Src: path, SrcFormat: "qcow2", Dst: path, DstFormat: "qcow2"})
}

// Commit writes what a qcow2 disk holds into the layer below it. No guest may use either.
func (t *Tool) Commit(ctx context.Context, path string) error {
	l, err := trustedLayers(path, "qcow2")
	if err != nil {
		return fmt.Errorf("commit %s: %w", path, err)
	}
	if l.backing == nil {
		return nil
	}
	release, err := t.Slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = t.qemuImg(ctx, command{
		verb:   "commit",
		args:   []string{"-q", "-f", "qcow2", path},
		reads:  l.backing.paths(),
		writes: []string{path, l.backing.path},
		limits: t.opts.Convert,
	})
	if err != nil {
		return fmt.Errorf("commit %s: %w", path, err)
	}
	return syncFile(l.backing.path)
}
