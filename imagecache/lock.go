package imagecache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPrefix is what Nova's node puts before the names of its lock files.
const lockPrefix = "nova-"

// errLocked reports a lock held by another process.
var errLocked = errors.New("locked by another process")

// lock takes the lock of a name that nodes sharing the folder respect, waiting while another process has it, and
// returns what gives it back. Inside this process flights already exclude each other.
func (c *Cache) lock(ctx context.Context, name string) (unlock func(), err error) {
	pause := 5 * time.Millisecond
	for {
		unlock, err := c.tryLock(name)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 200*time.Millisecond)
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock of %s: %w", name, ctx.Err())
		}
	}
}

// tryLock takes the lock when it is free. The lock is a record lock on the whole file, as Python's lockf takes, but
// owned by the open file, so that it excludes this process's own threads too.
func (c *Cache) tryLock(name string) (unlock func(), err error) {
	path := filepath.Join(c.opts.Locks, lockPrefix+name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = errLocked
	} else if err == nil && !stillThere(f) {
		err = errLocked // removed while we waited: it is not the lock any more
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// stillThere reports whether the open file is the one its path names.
func stillThere(f *os.File) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(f.Name())
	return err == nil && os.SameFile(have, now)
}
