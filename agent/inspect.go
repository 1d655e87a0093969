package agent

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"

	"libvirt.org/go/libvirtxml"

	"bolide/agent/status"
	"bolide/hypervisor"
	"bolide/imagecache/disk"
)

var _ status.Guests = (*Agent)(nil)

// Inspect implements [status.Guests]: what libvirt and the disk have of a guest, and what of it does not fit together.
func (a *Agent) Inspect(ctx context.Context, uuid string) (status.Inspection, error) {
	var in status.Inspection
	a.inspectDirectory(&in, a.instanceDir(uuid))
	g, err := a.hypervisor.Guest(ctx, uuid)
	if errors.Is(err, hypervisor.ErrNotFound) {
		in.Problems = append(in.Problems, "libvirt knows no such domain")
		return in, nil
	}
	if err != nil {
		return in, err
	}
	in.Domain = &status.Domain{State: string(g.State), Reason: g.Reason, Persistent: g.Persistent}
	text, err := a.DomainXML(ctx, uuid)
	if err != nil {
		return in, err
	}
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		return in, fmt.Errorf("read the domain of %s: %w", uuid, err)
	}
	if d.Devices != nil {
		inspectDisks(&in, d.Devices.Disks)
		inspectPorts(&in, &d, g.ID != 0)
	}
	return in, nil
}

func (a *Agent) inspectDirectory(in *status.Inspection, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		in.Problems = append(in.Problems, fmt.Sprintf("its files: %v", err))
		return
	}
	in.Directory = &status.Directory{Path: dir, Files: []string{}}
	for _, e := range entries { // sorted by name
		in.Directory.Files = append(in.Directory.Files, e.Name())
	}
}

// inspectDisks reads the headers of disks in files, as their format is known to libvirt.
func inspectDisks(in *status.Inspection, disks []libvirtxml.DomainDisk) {
	for _, d := range disks {
		if d.Source == nil || d.Source.File == nil || d.Target == nil || d.Driver == nil {
			continue
		}
		k := status.Disk{Device: d.Target.Dev, Path: d.Source.File.File, Format: d.Driver.Type}
		k.Allocated = allocated(k.Path)
		var err error
		if k.Size, err = disk.VirtualSize(k.Path, k.Format); err == nil {
			k.Base, _, err = disk.Base(k.Path, k.Format)
		}
		if err == nil && k.Base != "" && !there(k.Base) {
			err = fmt.Errorf("its base %s is gone", k.Base)
		}
		if err != nil {
			in.Problems = append(in.Problems, fmt.Sprintf("disk %s: %v", k.Device, err))
		}
		in.Disks = append(in.Disks, k)
	}
}

// portsElement is where a domain's metadata names the ports of its interfaces, in their order.
type portsElement struct {
	Ports []struct {
		ID  string `xml:"uuid,attr"`
		IPs []struct {
			Address string `xml:"address,attr"`
		} `xml:"ip"`
	} `xml:"ports>port"`
}

// inspectPorts names the taps of a guest and, where the domain knows them, the ports behind them.
func inspectPorts(in *status.Inspection, d *libvirtxml.Domain, runs bool) {
	var named portsElement
	if d.Metadata != nil {
		_ = xml.Unmarshal([]byte(d.Metadata.XML), &named) // without it the ports have no ids
	}
	for i, n := range d.Devices.Interfaces {
		var p status.Port
		if n.MAC != nil {
			p.MAC = n.MAC.Address
		}
		if n.Target != nil {
			p.Device = n.Target.Dev
		}
		if n.Source != nil && n.Source.Bridge != nil {
			p.Bridge = n.Source.Bridge.Bridge
		}
		if len(named.Ports) == len(d.Devices.Interfaces) {
			p.ID = named.Ports[i].ID
			for _, ip := range named.Ports[i].IPs {
				p.Addresses = append(p.Addresses, ip.Address)
			}
		}
		if runs && p.Device != "" && !there("/sys/class/net/"+p.Device) {
			in.Problems = append(in.Problems, "the device "+p.Device+" of a port is gone")
		}
		in.Ports = append(in.Ports, p)
	}
}

// DomainXML implements [status.Guests].
func (a *Agent) DomainXML(ctx context.Context, uuid string) (string, error) {
	text, err := a.hypervisor.XML(ctx, uuid, hypervisor.XMLOptions{})
	return text, noGuest(err)
}

// Console implements [status.Guests].
func (a *Agent) Console(ctx context.Context, uuid string, o status.ConsoleOptions) (io.ReadWriteCloser, error) {
	c, err := a.hypervisor.OpenConsole(ctx, uuid, hypervisor.ConsoleOptions{Force: o.Force})
	if err != nil {
		return nil, noGuest(err)
	}
	return c, nil
}

// noGuest gives the socket its own word for a guest that is not there.
func noGuest(err error) error {
	if errors.Is(err, hypervisor.ErrNotFound) {
		return errors.Join(status.ErrNoGuest, err)
	}
	return err
}
