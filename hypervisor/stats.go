package hypervisor

import (
	"context"
	"time"

	"libvirt.org/go/libvirt"
)

// Stats is what a guest has used since it started. A guest that does not run has
// little of it; what QEMU did not answer at once is zero.
type Stats struct {
	State  State
	Reason string
	CPU    CPUTime
	VCPUs  []VCPU
	Memory MemoryStats
	Disks  []DiskStats
	NICs   []NICStats
}

// CPUTime is the host's CPU time that a guest took.
type CPUTime struct {
	Total, User, System time.Duration
}

// VCPU is one virtual CPU.
type VCPU struct {
	Number  int
	Running bool // not offline
	Time    time.Duration
}

// MemoryStats is in KiB; what needs a balloon driver in the guest is 0 without one.
type MemoryStats struct {
	Maximum, Current  uint64
	RSS               uint64 // what QEMU holds on the host
	Available, Unused uint64 // as the guest counts
	Usable            uint64
	SwapIn, SwapOut   uint64
	MajorFaults       uint64 // count
	MinorFaults       uint64 // count
}

// DiskStats counts since the guest's start.
type DiskStats struct {
	Target        string // as in "vda"
	Path          string
	ReadRequests  uint64
	ReadBytes     uint64
	WriteRequests uint64
	WriteBytes    uint64
	FlushRequests uint64
	Errors        uint64
	Capacity      uint64 // bytes
	Allocation    uint64 // bytes
	Physical      uint64 // bytes
	ReadTime      time.Duration
	WriteTime     time.Duration
	FlushTime     time.Duration
}

// NICStats counts since the interface was made, as the guest sees directions.
type NICStats struct {
	Name                                    string // of the device on the host, as in "tap0"
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

const statsGroups = libvirt.DOMAIN_STATS_STATE | libvirt.DOMAIN_STATS_CPU_TOTAL | libvirt.DOMAIN_STATS_BALLOON |
	libvirt.DOMAIN_STATS_VCPU | libvirt.DOMAIN_STATS_INTERFACE | libvirt.DOMAIN_STATS_BLOCK

// Stats asks for the figures of one guest; ErrNotFound if there is none. It waits for
// a guest that is busy.
func (h *Host) Stats(ctx context.Context, uuid string) (Stats, error) {
	c := call{op: "measure", guest: uuid}
	return actHost(ctx, h, c, func(ctx context.Context, conn *libvirt.Connect) (Stats, error) {
		return withGuest(ctx, conn, uuid, func(d *libvirt.Domain) (Stats, error) {
			all, err := conn.GetAllDomainStats([]*libvirt.Domain{d}, statsGroups, 0)
			if err != nil {
				return Stats{}, err
			}
			var s Stats
			for _, one := range all { // one, or none if the guest went meanwhile
				s = statsOf(one)
				free(one.Domain)
			}
			return s, nil
		})
	})
}

// AllStats asks for the figures of all running guests at once, by UUID. It does not
// wait for a guest that is busy or hangs, and is then short of what QEMU knows of it.
func (h *Host) AllStats(ctx context.Context) (map[string]Stats, error) {
	return actHost(ctx, h, call{op: "measure guests"}, func(_ context.Context, conn *libvirt.Connect) (map[string]Stats, error) {
		all, err := conn.GetAllDomainStats(nil, statsGroups,
			libvirt.CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE|libvirt.CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
		if err != nil {
			return nil, err
		}
		stats := make(map[string]Stats, len(all))
		for _, one := range all {
			if uuid, err := one.Domain.GetUUIDString(); err == nil {
				stats[uuid] = statsOf(one)
			}
			free(one.Domain)
		}
		return stats, nil
	})
}

func statsOf(l libvirt.DomainStats) Stats {
	var s Stats
	if l.State != nil {
		s.State, s.Reason = stateOf(l.State.State, l.State.Reason)
	}
	if c := l.Cpu; c != nil {
		s.CPU = CPUTime{Total: time.Duration(c.Time), User: time.Duration(c.User), System: time.Duration(c.System)}
	}
	if b := l.Balloon; b != nil {
		s.Memory = MemoryStats{
			Maximum: b.Maximum, Current: b.Current, RSS: b.Rss,
			Available: b.Available, Unused: b.Unused, Usable: b.Usable,
			SwapIn: b.SwapIn, SwapOut: b.SwapOut, MajorFaults: b.MajorFault, MinorFaults: b.MinorFault,
		}
	}
	for i, v := range l.Vcpu {
		if v.StateSet { // an offline one leaves a gap
			s.VCPUs = append(s.VCPUs, VCPU{Number: i, Running: v.State != libvirt.VCPU_OFFLINE, Time: time.Duration(v.Time)})
		}
	}
	for _, b := range l.Block {
		s.Disks = append(s.Disks, DiskStats{
			Target: b.Name, Path: b.Path,
			ReadRequests: b.RdReqs, ReadBytes: b.RdBytes, ReadTime: time.Duration(b.RdTimes),
			WriteRequests: b.WrReqs, WriteBytes: b.WrBytes, WriteTime: time.Duration(b.WrTimes),
			FlushRequests: b.FlReqs, FlushTime: time.Duration(b.FlTimes),
			Errors: b.Errors, Capacity: b.Capacity, Allocation: b.Allocation, Physical: b.Physical,
		})
	}
	for _, n := range l.Net {
		s.NICs = append(s.NICs, NICStats{
			Name:    n.Name,
			RxBytes: n.RxBytes, RxPackets: n.RxPkts, RxErrors: n.RxErrs, RxDropped: n.RxDrop,
			TxBytes: n.TxBytes, TxPackets: n.TxPkts, TxErrors: n.TxErrs, TxDropped: n.TxDrop,
		})
	}
	return s
}
