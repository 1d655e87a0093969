package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bolide/agent/cloud"
	"bolide/agent/journal"
	"bolide/agent/network"
	"bolide/agent/recovery"
	"bolide/netplug"
	"bolide/rpc/nova"
)

// takeBack undoes what the journal alone knows of: images half made, copies of disks, ports of an attach that nobody
// waits for any more. What the remedy sees to is left to it. It may be repeated.
func (t *task) takeBack(ctx context.Context, p pages, remedy recovery.Remedy) error {
	var errs []error
	for _, e := range p {
		r := e.Record()
		errs = append(errs, t.persist(ctx, func(ctx context.Context) error {
			return errors.Join(t.removeCopies(r), t.removeHalfImages(ctx, r, remedy), t.takePortsBack(ctx, r))
		}))
	}
	return errors.Join(errs...)
}

// removeCopies removes files and directories of the operation's own. Only what lies where operations put such is
// believed.
func (t *task) removeCopies(r journal.Record) error {
	var errs []error
	for _, path := range r.Paths {
		if !below(t.cfg.Libvirt.SnapshotsDirectory, path) {
			t.log.WithField("path", path).Warn("the journal names a path that is not to be removed")
			continue
		}
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// below reports whether path lies in dir or a directory in it.
func below(dir, path string) bool {
	inner, err := filepath.Rel(dir, path)
	return err == nil && inner != "." && inner != ".." && !strings.HasPrefix(inner, "../")
}

// removeHalfImages removes images that were being made. An image that has its data is kept, unless it is of a shelving
// that is given up, whose name nobody chose; one that an instance is shelved to is its disk.
func (t *task) removeHalfImages(ctx context.Context, r journal.Record, remedy recovery.Remedy) error {
	var errs []error
	for _, id := range r.Images {
		image, err := t.cloud.Images().Get(ctx, t.id.Node(), id)
		if cloud.IsNotFound(err) || t.inst.SystemMetadata()[shelvedImageKey] == id {
			continue
		}
		whole := err == nil && image.Status == "active"
		if err == nil && (!whole || r.Operation == "shelve_instance" && remedy == recovery.GiveUpImage) {
			t.log.WithField("image", id).Info("half made image removed")
			err = t.cloud.Images().Delete(ctx, t.id.Node(), id)
		}
		if err != nil && !cloud.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// takePortsBack finishes an interrupted attach whose card the guest has already, since a guest need not let go of it, and
// takes the ports of any other back; it finishes an interrupted detach. Ports of a build go with the build.
func (t *task) takePortsBack(ctx context.Context, r journal.Record) error {
	if r.Operation != "attach_interface" && r.Operation != "detach_interface" {
		return nil
	}
	ports, err := t.cloud.Network().ListPorts(ctx, t.id.Node(), cloud.Filter{"device_id": {t.inst.UUID()}})
	if err != nil {
		return fmt.Errorf("read the instance's ports: %w", err)
	}
	cards, err := t.cards(ctx)
	if err != nil {
		return err
	}
	for _, port := range ports {
		added := r.Ports != nil && !slices.Contains(r.Ports.Before, port.ID)
		if added && slices.Contains(cards, port.MACAddress) {
			t.log.WithField("port", port.ID).Info("port of an interrupted operation stays: the guest has its card")
			continue
		}
		if added || slices.Contains(r.Leaving, port.ID) {
			if err := t.takePort(ctx, port, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// cards are the addresses of the cards that the guest has; without a domain it has none.
func (t *task) cards(ctx context.Context) ([]string, error) {
	d, err := t.domain(ctx)
	if nova.Is(err, "InstanceNotFound") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, card := range d.Devices.Interfaces {
		if card.MAC != nil {
			addresses = append(addresses, card.MAC.Address)
		}
	}
	return addresses, nil
}

// takePort takes one port from the guest, the host and the record.
func (t *task) takePort(ctx context.Context, port cloud.Port, r journal.Record) error {
	vifs := t.cachedPorts()
	vif := vifs.Find(port.ID)
	if vif == nil {
		profile, err := network.ParseDict(port.Profile) // which names the device of the host's that the port is
		if err != nil {
			return fmt.Errorf("read the binding profile of port %s: %w", port.ID, err)
		}
		vifs = append(vifs, network.VIF{
			ID: port.ID, Address: port.MACAddress, Type: port.VIFType, VNICType: port.VNICType, Profile: profile, DevName: netplug.DeviceName(port.ID),
		})
		vif = &vifs[len(vifs)-1]
	}
	vif.PreserveOnDelete = vif.PreserveOnDelete || r.Ports != nil && slices.Contains(r.Ports.Foreign, port.ID)
	if err := t.detachVIF(ctx, *vif); err != nil && !nova.Is(err, "InstanceNotFound") {
		return err
	}
	t.log.WithField("port", port.ID).Info("port of an interrupted operation taken from the guest")
	return t.givePortBack(ctx, vifs, port.ID)
}

// sweepDeleted removes what is here of an instance that Nova has deleted while this node was at work on it.
func (t *task) sweepDeleted(ctx context.Context, p pages) error {
	t.rc = archived()
	t.cond = t.conductor.With(t.rc)
	err := t.persist(ctx, func(ctx context.Context) error { return t.load(ctx) })
	if err == nil && t.inst.Host() != "" && t.inst.Host() != t.cfg.Default.Host {
		return t.takeBack(ctx, p, recovery.Leave)
	}
	if err == nil {
		err = t.persist(ctx, func(ctx context.Context) error { return t.reap(ctx, t.inst) })
	}
	if nova.Is(err, "InstanceNotFound") { // even its record is gone
		err = t.run(ctx, []step{{name: "remove domain", do: t.removeDomain}, {name: "remove files", do: t.removeFiles}})
	}
	return errors.Join(err, t.takeBack(ctx, p, recovery.Delete))
}
