// Package status lets an administrator look into a running node: a local unix
// socket with HTTP and JSON, described by openapi.yaml, and the Board on which
// operations show what they are doing.
//
// The package knows nothing of Nova. Who runs the node gives it a Source, from
// which it asks a Snapshot whenever somebody looks, and puts operations on the
// Board. What else the socket can do (Guests, Drainer, Levels) is optional.
//
// Goroutines: Server.Run owns one that accepts and, through net/http, one per
// connection, and one more for each open console; it waits for them. The Board
// has none.
package status

import (
	"context"
	"time"
)

// Source is what the socket needs to know of the node.
type Source interface {
	// Snapshot says how the node is, from what it has in memory: it does not
	// wait for libvirt or for the network, and returns soon when ctx ends.
	// Operations, Finished, Failures and Health are left to the socket. Safe
	// for concurrent use.
	Snapshot(ctx context.Context) Snapshot
}

// State is how well something is, in the words of health checks over HTTP.
type State string

// The states of a dependency, and of the node as the worst of them.
const (
	Pass State = "pass" // answers
	Warn State = "warn" // works, but not as it should
	Fail State = "fail" // does not answer
)

// Snapshot is the node at one moment.
type Snapshot struct {
	Version   string    `json:"version"` // Bolide's
	Release   string    `json:"release"` // of Nova
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	// Health is the worst state of the links.
	Health State `json:"health"`
	// Serving says that requests are taken.
	Serving bool `json:"serving"`
	// Drain says that no new guests are taken; nil = they are.
	Drain *Drain `json:"drain,omitempty"`

	Links      []Link      `json:"links"`
	Capacity   Capacity    `json:"capacity"`
	Instances  []Instance  `json:"instances"`
	Operations []Operation `json:"operations"` // running, oldest first
	Failures   []Failure   `json:"failures"`   // the last ones, newest first
}

// Link is something the node depends on: AMQP, conductor, libvirt, Placement.
type Link struct {
	Name string `json:"name"`
	// State is Fail when the link is down, Warn when it is up but ails.
	State State `json:"state"`
	// Peer is who is at the other end: HOST:PORT, a URI.
	Peer string `json:"peer,omitempty"`
	// LastSuccess is when it last answered; zero = never.
	LastSuccess time.Time `json:"last_success,omitzero"`
	// Since is when State last changed.
	Since time.Time `json:"since,omitzero"`
	// Error is why State is not Pass.
	Error string `json:"error,omitempty"`
}

// Capacity is what the host has and what guests claim of it.
type Capacity struct {
	VCPU     Resource `json:"vcpu"`
	MemoryMB Resource `json:"memory_mb"`
	DiskGB   Resource `json:"disk_gb"`
	// UpdatedAt is when it was last reported; zero = not yet.
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Resource is one kind of capacity, in its own unit.
type Resource struct {
	Total    int64   `json:"total"`
	Reserved int64   `json:"reserved"` // kept for the host
	Claimed  int64   `json:"claimed"`  // by guests
	Ratio    float64 `json:"ratio"`    // of overcommitment
}

// Instance is one guest of the node as Nova, libvirt and the disk see it.
type Instance struct {
	UUID       string `json:"uuid"`
	Name       string `json:"name"` // of the domain
	VMState    string `json:"vm_state"`
	TaskState  string `json:"task_state,omitempty"`
	PowerState string `json:"power_state"` // as libvirt says
	VCPUs      int    `json:"vcpus"`
	MemoryMB   int64  `json:"memory_mb"`
	DiskGB     int64  `json:"disk_gb"`
	// Problem is where the views differ, in one sentence.
	Problem string `json:"problem,omitempty"`

	ConsoleLog string `json:"console_log,omitempty"` // path
}

// worst is the health of a node with these links.
func worst(links []Link) State {
	health := Pass
	for _, l := range links {
		switch {
		case l.State == Fail:
			return Fail
		case l.State != Pass:
			health = Warn
		}
	}
	return health
}
