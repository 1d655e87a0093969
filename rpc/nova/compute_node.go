package nova

// ComputeNode is a view of the record of one hypervisor host. Most of its
// fields are only written by the resource tracker, with Set.
type ComputeNode struct{ *Object }

func (n ComputeNode) ID() int64                  { return n.Int("id") }
func (n ComputeNode) UUID() string               { return n.Str("uuid") }
func (n ComputeNode) Host() string               { return n.Str("host") }
func (n ComputeNode) HypervisorHostname() string { return n.Str("hypervisor_hostname") }
func (n ComputeNode) Deleted() bool              { return n.Bool("deleted") }
func (n ComputeNode) VCPUs() int64               { return n.Int("vcpus") }
func (n ComputeNode) MemoryMB() int64            { return n.Int("memory_mb") } // MiB
func (n ComputeNode) LocalGB() int64             { return n.Int("local_gb") }  // GiB
func (n ComputeNode) RunningVMs() int64          { return n.Int("running_vms") }

// CPUAllocationRatio, RAMAllocationRatio and DiskAllocationRatio are 0.0 in
// records written before the operator or the scheduler chose a ratio.
func (n ComputeNode) CPUAllocationRatio() float64  { return n.Float("cpu_allocation_ratio") }
func (n ComputeNode) RAMAllocationRatio() float64  { return n.Float("ram_allocation_ratio") }
func (n ComputeNode) DiskAllocationRatio() float64 { return n.Float("disk_allocation_ratio") }

// Stats is a copy of the free-form counters the scheduler's weighers read.
func (n ComputeNode) Stats() map[string]string { return n.Map("stats") }
