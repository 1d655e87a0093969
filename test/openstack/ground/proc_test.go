package ground

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		in          string
		pid, parent int
		fails       bool
	}{
		{in: "42 (bash) S 7 42", pid: 42, parent: 7},
		{in: "42 (odd) name (x) R 8 1", pid: 42, parent: 8},
		{in: "", fails: true},
		{in: "42 (bash)", fails: true},
		{in: "x (bash) S y", fails: true},
	} {
		pid, parent, err := parseStat(c.in)
		if (err != nil) != c.fails || !c.fails && (pid != c.pid || parent != c.parent) {
			t.Errorf("parseStat(%q) = %d, %d, %v", c.in, pid, parent, err)
		}
	}
}

func TestDescendants(t *testing.T) {
	child := exec.Command("cat", "-", "a-rare-argument-of-this-test")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	tree, err := descendants(os.Getpid())
	if err != nil || !slices.Contains(tree, child.Process.Pid) {
		t.Errorf("descendants = %v, %v; want %d among them", tree, err, child.Process.Pid)
	}
	named, err := withArguments("cat", "a-rare-argument-of-this-test")
	if err != nil || !slices.Equal(named, []int{child.Process.Pid}) {
		t.Errorf("withArguments = %v, %v; want [%d]", named, err, child.Process.Pid)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it complains of the file that is not there
}
