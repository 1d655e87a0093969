package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// complaint says once that writing goes wrong, until it goes well again.
type complaint struct {
	log    *logrus.Entry
	text   string
	silent atomic.Bool
}

func (c *complaint) note(err error) {
	if failed := err != nil; c.silent.Swap(failed) != failed && failed {
		c.log.WithError(err).Warn(c.text)
	}
}

// suffix is that of whole files.
const suffix = ".json"

const stampLayout = "20060102T150405.000000000"

// stamp begins a file's name, so that files come in the order of their making.
func stamp(at time.Time) string { return at.UTC().Format(stampLayout) }

// age is how long ago a file with a stamp was made.
func age(path string) (time.Duration, error) {
	name := filepath.Base(path)
	made, err := time.Parse(stampLayout, name[:min(len(stampLayout), len(name))])
	return time.Since(made), err
}

// list makes the directory if need be, and returns the files in it, oldest first. It removes what a process that was
// killed has half written.
func list(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // in the order of their names
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
			_ = os.Remove(path) // if it cannot be, it is in nobody's way
		case strings.HasSuffix(e.Name(), suffix):
			files = append(files, path)
		}
	}
	return files, nil
}

// replace writes a file that outlives this process, if not the machine's power.
func replace(path string, content []byte) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		_ = os.Remove(temporary) // the next start tries again
		return err
	}
	return os.Rename(temporary, path)
}

// remove removes a file that may be gone.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// setAside has nobody read a file again but a human.
func setAside(path string) {
	_ = os.Rename(path, path+".bad") // if it cannot be, it is named again next time
}
