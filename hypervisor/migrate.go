package hypervisor

import (
	"context"
	"time"

	"libvirt.org/go/libvirt"
)

// MigrateOptions says how and where to a guest migrates.
type MigrateOptions struct {
	To string // libvirt URI of the destination, as this host's libvirtd reaches it

	URI           string   // optional: where the guest's data goes, as in tcp://10.0.0.2
	ListenAddress string   // optional: where the destination listens for it
	XML           string   // optional: the guest's description at the destination
	PersistentXML string   // optional: its definition there; with Persist
	Disks         []string // with NonSharedDisks: targets of the disks to copy; none = all writable

	Live           bool
	PeerToPeer     bool // libvirtd talks to libvirtd, as Nova has it
	Tunnelled      bool // data goes through libvirtd
	NonSharedDisks bool // copy disks, each on a base image that both hosts have
	Persist        bool // define the guest at the destination
	UndefineSource bool
	Postcopy       bool // StartPostcopy may be called
	AutoConverge   bool
	TLS            bool
	Paused         bool
	Unsafe         bool // whatever the disks' cache modes

	Bandwidth   uint64 // limit in MiB a second; 0 = libvirt's default
	Connections int    // parallel; 0 or 1 = one
}

func (o MigrateOptions) flags() libvirt.DomainMigrateFlags {
	var flags libvirt.DomainMigrateFlags
	for _, f := range []struct {
		set  bool
		flag libvirt.DomainMigrateFlags
	}{
		{o.Live, libvirt.MIGRATE_LIVE},
		{o.PeerToPeer, libvirt.MIGRATE_PEER2PEER},
		{o.Tunnelled, libvirt.MIGRATE_TUNNELLED},
		{o.NonSharedDisks, libvirt.MIGRATE_NON_SHARED_INC},
		{o.Persist, libvirt.MIGRATE_PERSIST_DEST},
		{o.UndefineSource, libvirt.MIGRATE_UNDEFINE_SOURCE},
		{o.Postcopy, libvirt.MIGRATE_POSTCOPY},
		{o.AutoConverge, libvirt.MIGRATE_AUTO_CONVERGE},
		{o.TLS, libvirt.MIGRATE_TLS},
		{o.Paused, libvirt.MIGRATE_PAUSED},
		{o.Unsafe, libvirt.MIGRATE_UNSAFE},
		{o.Connections > 1, libvirt.MIGRATE_PARALLEL},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return flags
}

func (o MigrateOptions) params() *libvirt.DomainMigrateParameters {
	return &libvirt.DomainMigrateParameters{
		URISet: o.URI != "", URI: o.URI,
		ListenAddressSet: o.ListenAddress != "", ListenAddress: o.ListenAddress,
		DestXMLSet: o.XML != "", DestXML: o.XML,
		PersistXMLSet: o.PersistentXML != "", PersistXML: o.PersistentXML,
		MigrateDisksSet: len(o.Disks) > 0, MigrateDisks: o.Disks,
		BandwidthSet: o.Bandwidth > 0, Bandwidth: o.Bandwidth,
		ParallelConnectionsSet: o.Connections > 1, ParallelConnections: o.Connections,
	}
}

// Migrate moves a guest to another host and returns when it runs there or stayed
// here. Its only limit is the context; when that ends the job is left alone, and
// AbortJob is what ends it. Job and EventMigrationIteration show how it goes.
func (h *Host) Migrate(ctx context.Context, uuid string, o MigrateOptions) error {
	return h.do(ctx, call{op: "migrate", guest: uuid, limit: unlimited}, func(d *libvirt.Domain) error {
		return d.MigrateToURI3(o.To, o.params(), o.flags())
	})
}

// SetMigrationSpeed limits a running migration to MiB a second.
func (h *Host) SetMigrationSpeed(ctx context.Context, uuid string, mib uint64) error {
	c := call{op: "set migration speed of", guest: uuid}
	return h.do(ctx, c, func(d *libvirt.Domain) error { return d.MigrateSetMaxSpeed(mib, 0) })
}

// SetMigrationDowntime says how long a guest may stand still at the end of its
// migration; milliseconds count.
func (h *Host) SetMigrationDowntime(ctx context.Context, uuid string, limit time.Duration) error {
	c := call{op: "set migration downtime of", guest: uuid}
	return h.do(ctx, c, func(d *libvirt.Domain) error {
		return d.MigrateSetMaxDowntime(uint64(limit.Milliseconds()), 0)
	})
}

// StartPostcopy lets a guest run at the destination before all its memory is there.
func (h *Host) StartPostcopy(ctx context.Context, uuid string) error {
	c := call{op: "start post-copy of", guest: uuid}
	return h.do(ctx, c, func(d *libvirt.Domain) error { return d.MigrateStartPostCopy(0) })
}

// AnnounceSelf has a guest's cards tell the switches where they now are.
func (h *Host) AnnounceSelf(ctx context.Context, uuid string) error {
	c := call{op: "announce", guest: uuid}
	return h.do(ctx, c, func(d *libvirt.Domain) error {
		_, err := d.QemuMonitorCommand("announce_self", libvirt.DOMAIN_QEMU_MONITOR_COMMAND_HMP)
		return err
	})
}
