package imagecache

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// reserve sets bytes of the file system aside for a flight, so that flights side by side do not each count on the
// same free space. It returns what gives them back, or an *ErrNoSpace.
func (c *Cache) reserve(image string, need int64) (release func(), err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(c.opts.Dir, &st); err != nil {
		return nil, fmt.Errorf("free space of %s: %w", c.opts.Dir, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	free := max(0, int64(st.Bavail)*st.Bsize-c.reserved)
	if need > free {
		return nil, &ErrNoSpace{Image: image, Dir: c.opts.Dir, Need: need, Free: free}
	}
	c.reserved += need
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reserved -= need
	}, nil
}

// spaceError turns what a full file system says into an *ErrNoSpace and leaves other errors alone.
func (c *Cache) spaceError(image string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return &ErrNoSpace{Image: image, Dir: c.opts.Dir}
	}
	return err
}
