package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// overRsync does everything by synchronising, so that the host needs to allow rsync alone: what is to be made there is
// made in a directory here and brought over, and what is to be removed is left out of an empty one.
type overRsync struct {
	config string
}

var _ transport = overRsync{}

func (s overRsync) command(argv ...string) []string {
	line := []string{"rsync"}
	if s.config != "" {
		line = append(line, "-e", "ssh -F "+s.config)
	}
	return append(line, argv...)
}

// scratch is an empty directory and what removes it.
func scratch() (string, func(), error) {
	dir, err := os.MkdirTemp("", "bolide-rsync-")
	if err != nil {
		return "", nil, fmt.Errorf("make a directory to synchronise from: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// bring makes path on the host as build makes it below a local root.
func (s overRsync) bring(host, path string, build func(local string) error) ([][]string, func(), error) {
	root, done, err := scratch()
	if err != nil {
		return nil, nil, err
	}
	if err := build(filepath.Join(root, path)); err != nil {
		done()
		return nil, nil, fmt.Errorf("make a model of %s: %w", path, err)
	}
	// the part of a source behind "/./" is what --relative repeats on the host
	return [][]string{s.command("--archive", "--relative", "--no-implied-dirs", "--",
		root+"/."+filepath.Clean("/"+path), remotePath(host, "/"))}, done, nil
}

func (s overRsync) makeDir(host, dir string) ([][]string, func(), error) {
	return s.bring(host, dir, func(local string) error { return os.MkdirAll(local, 0o755) })
}

func (s overRsync) touch(host, path string) ([][]string, func(), error) {
	return s.bring(host, path, func(local string) error {
		if err := os.MkdirAll(filepath.Dir(local), 0o755); err != nil {
			return err
		}
		return os.WriteFile(local, nil, 0o644)
	})
}

// without removes path from its directory on the host, leaving everything else there.
func (s overRsync) without(empty, host, path string) []string {
	return s.command("--archive", "--delete", "--include", filepath.Base(path), "--exclude", "*", "--",
		empty+"/", remotePath(host, filepath.Dir(path)))
}

func (s overRsync) remove(host, path string) ([][]string, func(), error) {
	empty, done, err := scratch()
	if err != nil {
		return nil, nil, err
	}
	return [][]string{s.without(empty, host, path)}, done, nil
}

func (s overRsync) removeDir(host, dir string) ([][]string, func(), error) {
	empty, done, err := scratch()
	if err != nil {
		return nil, nil, err
	}
	return [][]string{
		s.command("--archive", "--delete-excluded", "--", empty+"/", remotePath(host, dir)),
		s.without(empty, host, dir),
	}, done, nil
}

func (s overRsync) copyFile(t transfer) []string {
	argv := s.command("-r", "--sparse")
	if t.compress {
		argv = append(argv, "--compress")
	}
	if t.bandwidth > 0 {
		argv = append(argv, "--bwlimit="+strconv.Itoa(max(1, t.bandwidth>>10))) // KiB/s
	}
	return append(argv, "--", t.src, t.dst)
}
