package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Source is one place named on the command line: a file, or a directory whose
// *.conf files are read in the order of their names. Exactly one is set.
type Source struct {
	File string
	Dir  string
}

// Files makes sources of paths to files, in order.
func Files(paths ...string) []Source {
	s := make([]Source, len(paths))
	for i, p := range paths {
		s[i].File = p
	}
	return s
}

// Programs whose files are read when none are named: the project, then the
// daemon that Bolide takes the place of.
var searched = [...]string{"nova", "nova-compute"}

// DefaultSearchDirs lists where oslo.config looks for nova.conf, in order. The
// first directory that has the file wins. env is as os.Environ returns it.
func DefaultSearchDirs(env []string) []string {
	home := lookup(env, "HOME")
	if home == "" {
		home = "/"
	}
	dirs := []string{filepath.Join(home, ".nova"), home, "/etc/nova", "/etc"}
	for _, v := range []string{"SNAP_COMMON", "SNAP"} {
		if snap := lookup(env, v); snap != "" {
			dirs = append(dirs, filepath.Join(snap, "etc", "nova"))
		}
	}
	return dirs
}

// expandSources lists the files to read, in order. As with oslo.config a
// named file puts out only the default files and a named directory only the
// default directories, and both defaults come before anything named.
func expandSources(named []Source, searchDirs []string) ([]string, error) {
	var files []string
	var anyFile, anyDir bool
	for _, s := range named {
		anyFile = anyFile || s.File != ""
		anyDir = anyDir || s.Dir != ""
	}
	if !anyFile {
		files = append(files, findDefaults(searchDirs, ".conf")...)
	}
	if !anyDir {
		for _, d := range findDefaults(searchDirs, ".conf.d") {
			in, err := confFiles(d)
			if err != nil {
				return nil, err
			}
			files = append(files, in...)
		}
	}
	var errs []error
	for _, s := range named {
		if s.File != "" {
			files = append(files, s.File)
			continue
		}
		in, err := confFiles(s.Dir)
		errs = append(errs, err)
		files = append(files, in...)
	}
	return files, errors.Join(errs...)
}

func findDefaults(dirs []string, ext string) []string {
	var found []string
	for _, prog := range searched {
		for _, d := range dirs {
			p := filepath.Join(d, prog+ext)
			if _, err := os.Stat(p); err == nil {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

// confFiles lists dir/*.conf sorted by name, without the hidden ones.
func confFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("configuration directory: %w", err)
	}
	var files []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".conf") && !strings.HasPrefix(n, ".") {
			files = append(files, filepath.Join(dir, n))
		}
	}
	sort.Strings(files)
	return files, nil
}

// readFile parses one file. Errors name it.
func readFile(path string) (*file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	as, err := parseINI(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newFile(path, as), nil
}

// file is one parsed configuration file.
type file struct {
	path   string
	order  []assignment
	values map[ref][]assignment // each in the order of the file
}

func newFile(path string, as []assignment) *file {
	f := &file{path: path, order: as, values: make(map[ref][]assignment)}
	for _, a := range as {
		r := ref{normalSection(a.section), a.name}
		f.values[r] = append(f.values[r], a)
	}
	return f
}

// lookup finds a variable in an environment as os.Environ returns it; the
// last one wins, as for exec.
func lookup(env []string, name string) string {
	v, _ := lookupOK(env, name)
	return v
}

func lookupOK(env []string, name string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(env[i], "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}
