package disk

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	ioprioIdle = 3 << 13 // IOPRIO_CLASS_IDLE of ioprio_set(2)
	ioprioSelf = 1       // IOPRIO_WHO_PROCESS; the target 0 is the calling thread
)

// Background runs work on a thread of its own in the idle I/O class, so that guests' disks come first. It returns when
// work does.
func Background(work func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its class
		idle()
		done <- work()
	}()
	return <-done
}

// idle puts the calling thread into the idle I/O class, as far as the kernel has classes.
func idle() { _, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioSelf, 0, ioprioIdle) }
