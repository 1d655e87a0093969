// Package disk makes, sizes, copies and converts the disks of guests.
//
// Everything that runs qemu-img is here, and runs it one way: every format stated, never probed; in the C locale;
// with limits on memory, processor time and output; ended when its context ends; and, where the kernel lets it, as an
// unprivileged user that sees no network and no file but the ones named (see sandbox.go). Nothing here trusts a
// header that a guest could have written: a raw disk stays raw whatever its first bytes say.
//
// A file that comes into being under its final name is whole and on disk: it is written beside it as NAME.part,
// synced, renamed, and its directory synced. Every call may be repeated after a crash.
//
// A Tool is safe for concurrent use. Each run of a command uses two goroutines that end with it.
package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/semaphore"
)

// Options configure a Tool. The zero value of every field but Log is usable.
type Options struct {
	// Program is the qemu-img to run: a name looked up in PATH or a path. Default "qemu-img".
	Program string
	// MaxConcurrent is how many downloads, copies and conversions may run at once ([compute]
	// max_concurrent_disk_ops). Default min(2, CPUs/4), at least 1.
	MaxConcurrent int
	// User and Group are the numeric identity qemu-img runs under when the daemon may change it, as root may. Default
	// 65534 (nobody).
	User, Group uint32
	// Inspect bounds the calls that only read headers or write them. Default 1 GiB, 30 s of CPU, 1 min.
	Inspect Limits
	// Convert bounds the calls that move data. Default 4 GiB, 2 h of CPU, 4 h.
	Convert Limits
	// Preallocate is [DEFAULT] preallocate_images: "none" (default) or "space".
	Preallocate string
	// Log receives one line when the sandbox is not available. Required.
	Log *logrus.Entry
}

// Limits bound one run of an external command.
type Limits struct {
	AddressSpace int64         // bytes of address space
	CPU          time.Duration // processor time
	Timeout      time.Duration // wall-clock time
}

// Tool runs disk operations within its limits.
type Tool struct {
	opts    Options
	slots   *semaphore.Weighted
	sandbox sandbox
}

// ErrExists reports that the disk to make is there already and is not the disk asked for.
type ErrExists struct {
	Path, Reason string
}

func (e *ErrExists) Error() string {
	return fmt.Sprintf("disk %s exists already: %s", e.Path, e.Reason)
}

// ErrTooLarge reports an image that does not fit the disk it is meant for. Sizes are in bytes.
type ErrTooLarge struct {
	Image               string // its path, or its ID when that is known
	ImageSize, DiskSize int64
}

func (e *ErrTooLarge) Error() string {
	return fmt.Sprintf("image %s has a virtual size of %d bytes, more than the disk of %d bytes",
		e.Image, e.ImageSize, e.DiskSize)
}

// ErrShrink reports a resize below the size a disk has.
type ErrShrink struct {
	Path     string
	Has, Ask int64
}

func (e *ErrShrink) Error() string {
	return fmt.Sprintf("disk %s has %d bytes and cannot shrink to %d", e.Path, e.Has, e.Ask)
}

// New returns a Tool. It looks at once for what the kernel offers to confine qemu-img with.
func New(o Options) (*Tool, error) {
	if o.Log == nil {
		return nil, errors.New("disk: no logger")
	}
	if o.Program == "" {
		o.Program = "qemu-img"
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = max(1, min(2, runtime.NumCPU()/4))
	}
	if o.User == 0 {
		o.User = 65534
	}
	if o.Group == 0 {
		o.Group = 65534
	}
	o.Inspect = o.Inspect.or(Limits{AddressSpace: 1 << 30, CPU: 30 * time.Second, Timeout: time.Minute})
	o.Convert = o.Convert.or(Limits{AddressSpace: 4 << 30, CPU: 2 * time.Hour, Timeout: 4 * time.Hour})
	switch o.Preallocate {
	case "":
		o.Preallocate = "none"
	case "none", "space":
	default:
		return nil, fmt.Errorf("disk: preallocation %q is neither none nor space", o.Preallocate)
	}
	t := &Tool{opts: o, slots: semaphore.NewWeighted(int64(o.MaxConcurrent)), sandbox: findSandbox(o)}
	if !t.sandbox.landlock {
		o.Log.Warn("kernel offers no Landlock: qemu-img runs with limits but without a sandbox")
	}
	return t, nil
}

func (l Limits) or(def Limits) Limits {
	if l.AddressSpace == 0 {
		l.AddressSpace = def.AddressSpace
	}
	if l.CPU == 0 {
		l.CPU = def.CPU
	}
	if l.Timeout == 0 {
		l.Timeout = def.Timeout
	}
	return l
}

// Slot waits for one of the MaxConcurrent places for heavy disk work and returns what gives it back. Copy, Convert
// and what builds on them take their own; it is exported for downloads, which count as well.
func (t *Tool) Slot(ctx context.Context) (release func(), err error) {
	if err := t.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait for a disk slot: %w", err)
	}
	return func() { t.slots.Release(1) }, nil
}

// exists reports whether a file of any kind has the name.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
