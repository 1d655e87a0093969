package enclave

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// networkVar says that the program is in a network namespace of its own already.
const networkVar = "ENCLAVE_OWN_NETWORK"

// OwnNetwork puts the program into a network namespace of its own with nothing
// but a loopback interface, by starting it anew in there; what it starts is in
// there as well. The TestMain of tests that plug ports calls it first. Without
// root it does nothing.
func OwnNetwork() error {
	if os.Geteuid() != 0 || os.Getenv(networkVar) != "" {
		return os.Unsetenv(networkVar)
	}
	runtime.LockOSThread() // namespaces are the thread's; Exec makes this thread the program
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare the network: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set the loopback interface up: %w", err)
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), networkVar+"=yes"))
}
