package agent

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFewDescriptors: an operation is not begun when too few file descriptors are free to undo it.
func TestFewDescriptors(t *testing.T) {
	if err := spareDescriptors(); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = uint64(len(open) + spareMin/2)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	if err := spareDescriptors(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("%v, want EMFILE", err)
	}
}
