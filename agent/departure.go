package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"libvirt.org/go/libvirtxml"

	"bolide/agent/guest"
	"bolide/agent/handover"
	"bolide/hypervisor"
	"bolide/hypervisor/domainxml"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

// departure is a running guest that leaves this host for another, as its source sees it:
//
//	destination  check_can_live_migrate_destination   what it has for the guest
//	source       check_can_live_migrate_source        what the destination does not see; then the conductor binds the ports
//	source       live_migration                       waits for its turn, and
//	destination  pre_live_migration                   makes empty disks, plugs the ports
//	source       (libvirt moves the guest)            and then
//	destination  post_live_migration_at_destination   takes the guest's record over; or, if it stayed,
//	destination  rollback_live_migration_at_destination, drop_move_claim_at_destination
//
// Until libvirt has moved it the guest is the source's, and then the destination's, whatever fails.
type departure struct {
	*spawn
	*steering

	dest      string
	block     json.RawMessage // block_migration as the user asked for it
	number    int64           // of the migration, for those who steer it
	migration *nova.Migration
	data      *nova.LiveMigrateData
	zone      any // the destination's availability zone

	records   []diskRecord // that are copied
	targets   []string     // their names in the guest
	plugged   *expectation // of the ports that Neutron says are connected at the destination
	placed    bool         // it counts among those that run at a time
	prepared  bool         // the destination was asked to prepare
	activated bool         // the ports are bound to the destination already
	left      bool         // the guest is here no longer
	certain   bool         // libvirt has said that the guest is at the destination
	taken     bool         // the destination has said so
	halted    bool         // this host has paused the guest so that its memory can follow
	reports   handover.Reports
}

// newDeparture reads the guest that is to leave.
func (t *task) newDeparture(ctx context.Context) (*departure, error) {
	s, err := t.existing(ctx, "migration_context", "resources")
	if err != nil {
		return nil, err
	}
	return &departure{spawn: s}, nil
}

// localDisks describes the disks of the running guest that are files of this host's.
func (d *departure) localDisks(ctx context.Context) ([]diskRecord, error) {
	domain, err := d.domain(ctx)
	if err != nil {
		return nil, err
	}
	volumes := map[string]bool{}
	for _, b := range d.bdms {
		if b.IsVolume() {
			volumes[b.DeviceName()[strings.LastIndex(b.DeviceName(), "/")+1:]] = true
		}
	}
	var out []diskRecord
	d.targets = nil
	for _, dev := range domain.Devices.Disks {
		if dev.Target == nil || volumes[dev.Target.Dev] || dev.Source == nil || dev.Source.File == nil || dev.Source.File.File == "" {
			continue
		}
		r, err := describeDisk(dev)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
		if dev.ReadOnly == nil && dev.Shareable == nil {
			d.targets = append(d.targets, dev.Target.Dev)
		}
	}
	return out, nil
}

// describeDisk is what the destination has to know to make a disk for the guest's to be copied into.
func describeDisk(dev libvirtxml.DomainDisk) (diskRecord, error) {
	path, format := dev.Source.File.File, "raw"
	if dev.Driver != nil && dev.Driver.Type != "" {
		format = dev.Driver.Type
	}
	taken, err := bytesOnDisk(path)
	if err != nil {
		return diskRecord{}, fmt.Errorf("look at disk %s: %w", dev.Target.Dev, err)
	}
	size, err := disk.VirtualSize(path, format)
	if err != nil {
		return diskRecord{}, err
	}
	r := diskRecord{Format: format, Path: path, VirtualSize: size, Size: taken, Overcommit: size - taken}
	if format == "raw" {
		return r, nil
	}
	r.Overcommit = max(0, size-taken)
	base, _, err := disk.Base(path, format)
	if base != "" {
		r.Backing = filepath.Base(base)
	}
	return r, err
}

// description is the guest's description at the destination.
func (d *departure) description(ctx context.Context) (string, error) {
	xml, err := d.hypervisor.XML(ctx, d.inst.UUID(), hypervisor.XMLOptions{Migratable: true, Secure: true})
	if err != nil {
		return "", d.guestError(err)
	}
	_, shares := d.inst.Flavor().ExtraSpecs()["quota:cpu_shares"]
	c := handover.Changes{Data: *d.data, KeepShares: shares}
	if len(d.data.VIFs()) > 0 {
		if c.Cards, err = d.cardsThere(ctx); err != nil {
			return "", err
		}
	}
	return handover.Describe(xml, c)
}

// cardsThere describes the guest's cards on the networks of the destination, by MAC.
func (d *departure) cardsThere(ctx context.Context) (map[string]libvirtxml.DomainInterface, error) {
	vifs, err := handover.DestinationVIFs(*d.data)
	if err != nil {
		return nil, err
	}
	r, err := d.request(ctx)
	if err != nil {
		return nil, err
	}
	cards := map[string]libvirtxml.DomainInterface{}
	for _, v := range vifs {
		nic, err := guest.Interface(r, v)
		if err != nil {
			return nil, err
		}
		xml, err := domainxml.InterfaceXML(nic)
		if err != nil {
			return nil, fmt.Errorf("describe the card of port %s: %w", v.ID, err)
		}
		var card libvirtxml.DomainInterface
		if err := card.Unmarshal(xml); err != nil {
			return nil, fmt.Errorf("describe the card of port %s: %w", v.ID, err)
		}
		cards[strings.ToLower(v.Address)] = card
	}
	return cards, nil
}

// how is how libvirt is to move the guest.
func (d *departure) how(ctx context.Context) (hypervisor.MigrateOptions, error) {
	l := d.cfg.Libvirt
	o := hypervisor.MigrateOptions{
		Live: true, PeerToPeer: true, Persist: true, UndefineSource: true,
		Tunnelled: l.LiveMigrationTunnelled, TLS: l.LiveMigrationWithNativeTLS,
		Postcopy: d.mayPostcopy(), AutoConverge: l.LiveMigrationPermitAutoConverge && !l.LiveMigrationPermitPostCopy,
		Bandwidth: uint64(max(0, l.LiveMigrationBandwidth)),
	}
	if d.data.BlockMigration() && len(d.targets) > 0 {
		o.NonSharedDisks, o.Disks = true, d.targets
	}
	host := d.dest
	if address := d.data.Address(); address != "" {
		host = address
		if !o.Tunnelled {
			o.URI = "tcp://" + bracket(host)
		}
	}
	var err error
	if o.To, err = libvirtURI(l.LiveMigrationURI, l.LiveMigrationScheme, host); err != nil {
		return o, err
	}
	if o.XML, err = d.description(ctx); err != nil {
		return o, err
	}
	// the guest's definition there must be the one it was started with there: with this host's, a reboot would look for
	// this host's disks and networks (CVE-2020-17376)
	o.PersistentXML = o.XML
	return o, nil
}

// mayPostcopy reports whether the guest may run at the destination before all its memory is there. A paused guest runs
// nowhere, and libvirt refuses.
func (d *departure) mayPostcopy() bool {
	return d.cfg.Libvirt.LiveMigrationPermitPostCopy && d.inst.VMState() != nova.VMPaused
}

// hostPattern is what may stand for a host in a URI.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// libvirtURI is how this host's libvirtd reaches another's: [libvirt] live_migration_uri with the host in the place of
// %s, or else by live_migration_scheme.
func libvirtURI(pattern, scheme, host string) (string, error) {
	if !hostPattern.MatchString(host) {
		return "", nova.NewError("InvalidHostname", map[string]any{"hostname": host})
	}
	if pattern != "" {
		return strings.ReplaceAll(pattern, "%s", bracket(host)), nil
	}
	if scheme == "" {
		scheme = "tcp"
	}
	return "qemu+" + scheme + "://" + bracket(host) + "/system", nil
}

// bracket makes an IPv6 address fit for a URI.
func bracket(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// sizeGiB is how much is to be transferred at least.
func (d *departure) sizeGiB() float64 {
	var sizes []int64
	if d.data.BlockMigration() {
		for _, r := range d.records {
			if st, err := os.Stat(r.Path); err == nil {
				sizes = append(sizes, st.Size())
			}
		}
	}
	return handover.SizeGiB(d.inst.Flavor().MemoryMB(), sizes)
}

// mark saves how far the move has come.
func (d *departure) mark(ctx context.Context, s nova.MigrationStatus) error {
	return d.saveStatus(ctx, d.migration, s)
}
