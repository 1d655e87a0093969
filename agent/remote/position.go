package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// position is how far the process, or one that it started, has come in reading or writing the file; -1 when none has it
// open. Neither scp nor rsync says so by itself without a terminal, but the kernel knows.
func position(pid int, file string) int64 {
	pos := int64(-1)
	for _, p := range append(children(pid), pid) {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p))
		if err != nil {
			continue // it has ended
		}
		for _, fd := range fds {
			target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p, fd.Name()))
			if err == nil && isPartOf(target, file) {
				pos = max(pos, offset(p, fd.Name()))
			}
		}
	}
	return pos
}

// isPartOf reports whether the open file is the file, or what rsync makes it from: .NAME.XXXXXX beside it.
func isPartOf(open, file string) bool {
	return open == file || strings.HasPrefix(open, filepath.Dir(file)+"/."+filepath.Base(file)+".")
}

// children are the processes that the process started, and theirs.
func children(pid int) []int {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, text := range strings.Fields(string(list)) {
		if child, err := strconv.Atoi(text); err == nil {
			all = append(append(all, child), children(child)...)
		}
	}
	return all
}

// offset reads where in its file a descriptor is.
func offset(pid int, fd string) int64 {
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(info)) {
		if text, ok := strings.CutPrefix(line, "pos:"); ok {
			pos, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				return -1
			}
			return pos
		}
	}
	return -1
}
