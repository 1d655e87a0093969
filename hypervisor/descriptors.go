package hypervisor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// spareDescriptors is more file descriptors than libvirt's client opens for one call.
const spareDescriptors = 8

// spare reports whether a call can have the file descriptors that it needs. libvirt's client must not be asked for
// anything without them: GLib ends the process where it cannot wake its main loop.
func spare() error {
	for range spareDescriptors {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC) // what GLib opens as well
		if err != nil {
			return fmt.Errorf("not asked, it would end this process: %w", err)
		}
		defer unix.Close(fd)
	}
	return nil
}
