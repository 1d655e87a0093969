// Package resources answers for what the host has, what is claimed of it, and what the control plane is told of
// both: the ComputeNode record through the conductor, and the provider with its inventory and traits in
// Placement.
//
// Usage is never counted up and down. It is computed anew from the set of holdings (instances on the host, and
// what moves in progress hold beside them) whenever it is told to anyone, so that it cannot drift.
//
// The package starts no goroutines. A [Tracker] is safe for concurrent use; claims wait only for each other's
// arithmetic, never for a service.
package resources

import (
	"context"
	"time"

	"bolide/agent/cloud"
	"bolide/rpc/nova"
)

// Figures is what the host is measured to have. Sizes are in the units of the ComputeNode record.
type Figures struct {
	Hostname          string // the hypervisor's name of itself, the "node"
	HypervisorType    string // "QEMU" or "KVM"
	HypervisorVersion int64
	HostIP            string

	VCPUs    int64 // usable by guests without a dedicated CPU
	PCPUs    int64 // set aside for guests with dedicated CPUs
	MemoryMB int64
	LocalGB  int64 // the file system that holds the instances

	MemoryUsedMB       int64
	LocalUsedGB        int64
	DiskAvailableLeast int64 // GB, may be negative: free space less what overlays may still grow by

	CPUInfo      string      // JSON
	NUMATopology string      // JSON of a NUMATopology object; "": none
	HVSpecs      [][3]string // (arch, hypervisor type, vm mode)

	ImageCacheGB int64 // what the cache of base images holds
}

// Probe measures the host. Both methods may be slow and are called without a lock held.
type Probe interface {
	Figures(ctx context.Context) (Figures, error)
	// Traits maps every trait that this host could have to whether it has it. Traits of others are not in it.
	Traits(ctx context.Context) (map[string]bool, error)
}

// Options of a [Tracker].
type Options struct {
	Host      string           // required: the name of this compute service
	Conductor *nova.Conductor  // required
	Placement *cloud.Placement // required
	Probe     Probe            // required

	NameTemplate string // of domains, for show

	ReservedMemoryMB int64
	ReservedCPUs     int64
	ReservedDiskMB   int64
	// CountImageCache adds the image cache's size to the reserved disk, as the workaround of that name asks.
	CountImageCache bool

	PackNUMA bool // fill cells that are in use before others

	Ratios        Ratios // zero fields: not configured
	InitialRatios Ratios // used where Ratios has none and Placement knows none yet

	// Refresh is how long what Placement said is believed without asking again; zero: never ask again.
	Refresh time.Duration
	Now     func() time.Time // nil: time.Now
}

// Ratios of allocation: how many times over a resource may be promised.
type Ratios struct{ CPU, RAM, Disk float64 }
