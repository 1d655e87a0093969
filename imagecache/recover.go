package imagecache

import (
	"errors"
	"os"
	"strings"
	"time"
)

// keepPart is how long a broken download waits to be continued.
const keepPart = 24 * time.Hour

// clearAway removes what a crash left. What another node sharing the folder is working on has its lock held and is
// left alone.
func (c *Cache) clearAway() error {
	list, err := os.ReadDir(c.opts.Dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, ent := range list {
		if name, stale := c.stale(ent); stale {
			errs = append(errs, c.discard(name, ent.Name()))
		}
	}
	return errors.Join(errs...)
}

// stale reports whether a file is a leftover, and of which name.
func (c *Cache) stale(ent os.DirEntry) (name string, stale bool) {
	name, _, found := strings.Cut(ent.Name(), ".")
	if !found || !cacheName(name) || ent.IsDir() {
		return "", false
	}
	switch suffix := ent.Name()[len(name):]; {
	case suffix == partSuffix && imageName(name):
		info, err := ent.Info()
		return name, err == nil && c.opts.Now().Sub(info.ModTime()) > keepPart
	case suffix == partSuffix, suffix == convertedSuffix, suffix == convertedSuffix+partSuffix,
		suffix == recordSuffix+partSuffix:
		return name, true
	case suffix == recordSuffix:
		_, err := os.Stat(c.path(name))
		return name, errors.Is(err, os.ErrNotExist)
	}
	return "", false
}

// discard removes a leftover unless someone works on its name.
func (c *Cache) discard(name, file string) error {
	unlock, err := c.tryLock(name)
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	c.opts.Log.WithField("path", c.path(file)).Info("removing what was left half done")
	return remove(c.path(file))
}
