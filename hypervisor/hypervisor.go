// Package hypervisor speaks to libvirt for one host.
//
// A Host owns the one shared connection and libvirt's event loop; everybody else
// sees guests as values and events on channels. No libvirt handle leaves the
// package, and none outlives the call that took it.
//
// # Calls
//
// libvirt's client blocks: a hung libvirtd, or a guest whose QEMU does not answer,
// holds the thread that asked. So every call runs on a goroutine of its own and the
// caller waits for CallTimeout at most. A call given up is remembered until it does
// return; while one hangs for a guest the next calls that need this guest wait for
// it instead of hanging too, and MaxHung bounds them all.
//
// libvirtd works on five requests of a connection at a time. Questions that it can
// answer by itself share the one connection; what waits for a guest (start, device
// changes, block jobs, migration …) gets a connection of its own for its duration,
// so that neither a long migration nor a hung guest stands in the way of others.
//
// # Connection
//
// Run keeps the connection: it opens it, registers for events, only then declares
// it up and publishes a Resync event, since events of the time before are lost.
// A question every KeepAlive finds a libvirtd that is dead, frozen or does not answer.
// Calls made meanwhile wait for Grace.
//
// # Goroutines
//
// Run owns the event loop, the connection and every call's goroutine. It returns
// when its context ends, having waited shortly for calls in flight.
package hypervisor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Options says which libvirt to use and how patiently. Zero values mean the default.
type Options struct {
	URI string // libvirt URI; default qemu:///system

	VirtType     string            // "kvm" or "qemu", what guests will be; default kvm
	MachineTypes map[string]string // default machine type by architecture, over the built-in ones

	CallTimeout time.Duration // limit of one call; default 60 s
	Grace       time.Duration // how long a call waits for a connection that is down; default 10 s
	KeepAlive   time.Duration // how often libvirtd is asked whether it is there; no answer in five times that ends the connection; default 5 s
	MaxHung     int           // how many calls may hang before new ones are refused; default 64

	KVMDevice    string   // default /dev/kvm
	ProcDir      string   // default /proc
	UsersFile    string   // who is logged in, for Uptime; default /run/utmp
	FirmwareDirs []string // of QEMU firmware descriptors; default /usr/share/qemu/firmware, /etc/qemu/firmware

	// Called hears of every call, what was tried and how it ended; it must not
	// block. Optional.
	Called func(op string, took time.Duration, err error)

	Log *logrus.Entry // required
}

func (o Options) withDefaults() Options {
	setDefault(&o.URI, "qemu:///system")
	setDefault(&o.VirtType, "kvm")
	setDefault(&o.CallTimeout, 60*time.Second)
	setDefault(&o.Grace, 10*time.Second)
	setDefault(&o.KeepAlive, 5*time.Second)
	setDefault(&o.MaxHung, 64)
	setDefault(&o.KVMDevice, "/dev/kvm")
	setDefault(&o.ProcDir, "/proc")
	setDefault(&o.UsersFile, "/run/utmp")
	if o.Called == nil {
		o.Called = func(string, time.Duration, error) {}
	}
	if o.FirmwareDirs == nil {
		o.FirmwareDirs = []string{"/usr/share/qemu/firmware", "/etc/qemu/firmware"}
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Host is libvirt on one host. Its methods may be called concurrently.
type Host struct {
	opts   Options
	log    *logrus.Entry
	events fanout
	hung   *hungCalls
	facts  factStore
	calls  sync.WaitGroup // goroutines of calls

	mu     sync.Mutex
	link   *link         // nil while the connection is down
	up     chan struct{} // closed when link is set, replaced when it is cleared
	ended  bool          // Run is over: no more calls
	warned bool          // that the connection is down
	state  LinkState
}

// LinkState is the condition of the connection to libvirt.
type LinkState struct {
	Up          bool
	URI         string
	Since       time.Time // when Up last changed
	LastSuccess time.Time // when libvirt last answered anything
	Err         string    // why it is down; empty when up
	Hung        int       // calls given up that have not returned yet
}

// New makes a Host; Run connects it.
func New(o Options) *Host {
	o = o.withDefaults()
	return &Host{
		opts:  o,
		log:   o.Log,
		hung:  newHungCalls(o.MaxHung),
		up:    make(chan struct{}),
		state: LinkState{URI: o.URI, Since: time.Now(), Err: "not connected yet"},
	}
}

// State never blocks.
func (h *Host) State() LinkState {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state
	s.Hung = h.hung.count()
	return s
}

// WaitReady waits until libvirt is connected and events are registered, as long as
// the context allows.
func (h *Host) WaitReady(ctx context.Context) error {
	if err := h.await(ctx, nil, func(*link) {}); err != nil {
		return fmt.Errorf("wait for libvirt: %w", err)
	}
	return nil
}
