package ground

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// NodeProcesses returns the compute node's processes: the program, what descends
// from it, and the helpers that left its tree.
func (c *Cloud) NodeProcesses(n Node) ([]int, error) {
	pid := c.processes.pid(n.Kind)
	if pid == 0 {
		return nil, fmt.Errorf("%s does not run", n.Kind)
	}
	tree, err := descendants(pid)
	if err != nil || n.Kind != "nova" {
		return tree, err
	}
	helpers, err := withArguments("privsep-helper", nodeConf)
	for _, h := range helpers {
		if !slices.Contains(tree, h) {
			tree = append(tree, h)
		}
	}
	return tree, err
}

// descendants returns a process and all that descend from it.
func descendants(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		child, parent, err := parseStat(string(b))
		if err != nil {
			return nil, err
		}
		children[parent] = append(children[parent], child)
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// parseStat reads the process and its parent from /proc/PID/stat; the name
// between them may hold anything.
func parseStat(s string) (pid, parent int, err error) {
	open, end := strings.Index(s, " ("), strings.LastIndex(s, ") ")
	if open < 0 || end < open {
		return 0, 0, fmt.Errorf("parse process status %q", s)
	}
	rest := strings.Fields(s[end+2:])
	if len(rest) < 2 {
		return 0, 0, fmt.Errorf("parse process status %q", s)
	}
	pid, err1 := strconv.Atoi(s[:open])
	parent, err2 := strconv.Atoi(rest[1])
	return pid, parent, errors.Join(err1, err2)
}

// withArguments returns the processes that have all of these in their command
// lines.
func withArguments(want ...string) (pids []int, err error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
next:
	for _, path := range lines {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		for _, w := range want {
			if !bytes.Contains(b, []byte(w)) {
				continue next
			}
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
