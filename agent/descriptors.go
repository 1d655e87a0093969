package agent

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// spareMin is how many file descriptors are free when an operation begins: enough for it, and for undoing it.
const spareMin = 64

// spareDescriptors reports whether an operation finds the file descriptors that it needs.
func spareDescriptors() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("count file descriptors: %w", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("ask for the limit of file descriptors: %w", err)
	}
	if uint64(len(open)+spareMin) > limit.Cur {
		return fmt.Errorf("%d of %d file descriptors are in use: %w", len(open), limit.Cur, unix.EMFILE)
	}
	return nil
}
