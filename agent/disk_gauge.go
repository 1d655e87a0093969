package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/singleflight"
	"golang.org/x/sys/unix"

	"bolide/imagecache/disk"
)

// gaugeLimit is how long the measuring of the guests' disks is waited for.
const gaugeLimit = 10 * time.Second

// diskGauge measures the file system of the guests' disks. A file system that does not answer, such as a mount of one
// guest's whose server is gone, holds the goroutine that asked it, which no deadline reaches; so there is one such
// goroutine at most, and meanwhile the host has the figures that it had. Its methods may be used concurrently.
type diskGauge struct {
	log   *logrus.Entry
	limit time.Duration

	flight singleflight.Group
	last   atomic.Pointer[diskFigures]
	silent atomic.Bool // the log says that the file system does not answer
}

// diskFigures are those of a file system, in GiB.
type diskFigures struct {
	total, used, available int64 // available: when the guests' disks are as large as they may be; may be negative
}

func newDiskGauge(log *logrus.Entry) *diskGauge { return &diskGauge{log: log, limit: gaugeLimit} }

// read measures the directory's file system, which it makes if need be.
func (g *diskGauge) read(ctx context.Context, dir string) (diskFigures, error) {
	measured := g.flight.DoChan(dir, func() (any, error) { return measureDisk(dir) })
	select {
	case r := <-measured:
		if r.Err != nil {
			return diskFigures{}, r.Err
		}
		figures := r.Val.(diskFigures)
		g.last.Store(&figures)
		if g.silent.Swap(false) {
			g.log.WithField("path", dir).Info("the guests' disks can be measured again")
		}
		return figures, nil
	case <-time.After(g.limit):
	case <-ctx.Done():
		return diskFigures{}, context.Cause(ctx)
	}
	last := g.last.Load()
	if last == nil {
		return diskFigures{}, fmt.Errorf("measure the file system of %s: no answer after %s: %w", dir, g.limit, context.DeadlineExceeded)
	}
	if !g.silent.Swap(true) {
		g.log.WithField("path", dir).Warn("a file system under the guests' directory does not answer; its figures stay as they were")
	}
	return *last, nil
}

func measureDisk(dir string) (diskFigures, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return diskFigures{}, fmt.Errorf("make instances directory: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return diskFigures{}, fmt.Errorf("measure the file system of %s: %w", dir, err)
	}
	block := int64(st.Frsize)
	return diskFigures{
		total:     block * int64(st.Blocks) / gib,
		used:      block * int64(st.Blocks-st.Bfree) / gib,
		available: (block*int64(st.Bavail)/gib*gib - overcommitted(dir)) / gib,
	}, nil
}

// overcommitted is by how many bytes the guests' disks may still grow. Disks that cannot be read count nothing: they
// go while they are counted.
func overcommitted(dir string) int64 {
	var sum int64
	files, err := filepath.Glob(filepath.Join(dir, "*-*-*-*-*", "disk*"))
	if err != nil {
		return 0 // the pattern is well-formed
	}
	for _, f := range files {
		format, err := disk.RecordedFormat(f)
		if err != nil || format == "" {
			continue
		}
		virtual, err := disk.VirtualSize(f, format)
		if err != nil {
			continue
		}
		sum += max(0, virtual-allocated(f))
	}
	return sum
}

// allocated is how much of the file system a file takes, in bytes.
func allocated(path string) int64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Blocks * 512
}
