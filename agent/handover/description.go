package handover

import (
	"fmt"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"bolide/agent/guest"
	"bolide/rpc/nova"
)

// Changes say in what a guest's description differs between the two hosts.
type Changes struct {
	Data       nova.LiveMigrateData
	Cards      map[string]libvirtxml.DomainInterface // by MAC: as the destination would describe the ports; nil: as here
	KeepShares bool                                  // the flavor asks for its shares of CPU time; else they were an old release's
}

// Describe makes the description of the guest at the destination from its migratable one here. What the guest sees
// stays as it is: addresses of devices, models, features. What the host has of it changes.
func Describe(xml string, c Changes) (string, error) {
	d := &libvirtxml.Domain{Devices: &libvirtxml.DomainDeviceList{}}
	if err := d.Unmarshal(xml); err != nil {
		return "", fmt.Errorf("read the guest's description: %w", err)
	}
	c.screens(d.Devices.Graphics)
	c.serials(d.Devices)
	c.perf(d)
	c.memory(d)
	c.shares(d)
	if err := c.cards(d.Devices.Interfaces); err != nil {
		return "", err
	}
	if err := c.numa(d); err != nil {
		return "", err
	}
	out, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("write the guest's description: %w", err)
	}
	return out, nil
}

// screens lets consoles listen where the destination has them.
func (c Changes) screens(graphics []libvirtxml.DomainGraphic) {
	for i := range graphics {
		if vnc := graphics[i].VNC; vnc != nil {
			listen(&vnc.Listen, vnc.Listeners, c.Data.ListenVNC())
		}
		if spice := graphics[i].Spice; spice != nil {
			listen(&spice.Listen, spice.Listeners, c.Data.ListenSPICE())
		}
	}
}

func listen(attribute *string, listeners []libvirtxml.DomainGraphicListener, address string) {
	if address == "" {
		return
	}
	if *attribute != "" {
		*attribute = address
	}
	if len(listeners) > 0 && listeners[0].Address != nil {
		listeners[0].Address.Address = address
	}
}

// serials lets serial consoles listen at the address and ports that the destination keeps for them.
func (c Changes) serials(devices *libvirtxml.DomainDeviceList) {
	for _, s := range devices.Serials {
		var index *uint
		if s.Target != nil {
			index = s.Target.Port
		}
		c.serial(s.Source, index)
	}
	for _, s := range devices.Consoles {
		var index *uint
		if s.Target != nil {
			index = s.Target.Port
		}
		c.serial(s.Source, index)
	}
}

func (c Changes) serial(source *libvirtxml.DomainChardevSource, index *uint) {
	if source == nil || source.TCP == nil {
		return
	}
	tcp := source.TCP
	if host := c.Data.SerialHost(); tcp.Host != "" && host != "" {
		tcp.Host = host
	}
	ports := c.Data.SerialPorts()
	if tcp.Service != "" && index != nil && int(*index) < len(ports) {
		tcp.Service = strconv.FormatInt(ports[*index], 10)
	}
}

// perf counts the events that the destination can.
func (c Changes) perf(d *libvirtxml.Domain) {
	events := c.Data.PerfEvents()
	if len(events) == 0 {
		if d.Perf != nil {
			d.Perf.Events = nil
		}
		return
	}
	d.Perf = &libvirtxml.DomainPerf{}
	for _, name := range events {
		d.Perf.Events = append(d.Perf.Events, libvirtxml.DomainPerfEvent{Name: name, Enabled: "yes"})
	}
}

// memory lays the guest's memory into files if the destination wants that, and else takes it out of them.
func (c Changes) memory(d *libvirtxml.Domain) {
	if d.MemoryBacking == nil {
		if !c.Data.FileBackedMemory() {
			return
		}
		d.MemoryBacking = &libvirtxml.DomainMemoryBacking{}
	}
	m := d.MemoryBacking
	m.MemorySource, m.MemoryAccess, m.MemoryAllocation, m.MemoryDiscard = nil, nil, nil, nil
	if c.Data.FileBackedMemory() {
		m.MemorySource = &libvirtxml.DomainMemorySource{Type: "file"}
		m.MemoryAccess = &libvirtxml.DomainMemoryAccess{Mode: "shared"}
		m.MemoryAllocation = &libvirtxml.DomainMemoryAllocation{Mode: "immediate"}
		m.MemoryDiscard = &libvirtxml.DomainMemoryDiscard{}
	}
}

// shares takes shares of CPU time away that no flavor asks for: releases before gave every guest some, more than hosts
// with the newer control groups can.
func (c Changes) shares(d *libvirtxml.Domain) {
	if d.CPUTune == nil || c.KeepShares {
		return
	}
	d.CPUTune.Shares = nil
	if empty(*d.CPUTune) {
		d.CPUTune = nil
	}
}

func empty(t libvirtxml.DomainCPUTune) bool {
	text, err := (&libvirtxml.Domain{CPUTune: &t}).Marshal()
	return err == nil && strings.Contains(text, "<cputune></cputune>")
}

// cards connects the guest's cards to what the destination has for their ports. The card that the guest sees is kept.
func (c Changes) cards(cards []libvirtxml.DomainInterface) error {
	if c.Cards == nil {
		return nil
	}
	for i := range cards {
		if cards[i].MAC == nil {
			return fmt.Errorf("card %d has no MAC address", i)
		}
		there, ok := c.Cards[strings.ToLower(cards[i].MAC.Address)]
		if !ok {
			return fmt.Errorf("card %s is of no port that is known to the destination", cards[i].MAC.Address)
		}
		cards[i] = reconnect(cards[i], there)
	}
	return nil
}

// reconnect is the card as it is here, on the destination's network.
func reconnect(here, there libvirtxml.DomainInterface) libvirtxml.DomainInterface {
	out := there
	out.MAC, out.Model, out.Boot, out.ROM, out.ACPI = here.MAC, here.Model, here.Boot, here.ROM, here.ACPI
	out.Alias, out.Address, out.MTU = here.Alias, here.Address, here.MTU
	if sameKind(here.Source, there.Source) {
		out.Driver = here.Driver
	}
	return out
}

// sameKind reports whether two cards are connected by the same kind of thing, so that the same driver serves them.
func sameKind(a, b *libvirtxml.DomainInterfaceSource) bool {
	return a != nil && b != nil && (a.Bridge != nil) == (b.Bridge != nil) && (a.Ethernet != nil) == (b.Ethernet != nil) &&
		(a.VHostUser != nil) == (b.VHostUser != nil) && (a.Direct != nil) == (b.Direct != nil) && (a.Hostdev != nil) == (b.Hostdev != nil)
}

// numa pins the guest to the CPUs and cells that the destination claimed for it.
func (c Changes) numa(d *libvirtxml.Domain) error {
	n := c.Data.NUMA()
	if !n.Exists() {
		return nil
	}
	if cpus := n.CPUPins(); len(cpus) > 0 {
		if d.CPUTune == nil || d.NUMATune == nil {
			return fmt.Errorf("the destination pins a guest that is not pinned here")
		}
		pin(d, cpus, n)
	}
	if realtime := n.RealtimeCPUs(); len(realtime) > 0 && d.CPUTune != nil {
		priority := int(n.RealtimePriority())
		d.CPUTune.VCPUSched = []libvirtxml.DomainCPUTuneVCPUSched{{VCPUs: guest.FormatCPUs(realtime), Scheduler: "fifo", Priority: &priority}}
	}
	return nil
}

func pin(d *libvirtxml.Domain, cpus map[string][]int, n nova.LiveMigrateNUMA) {
	for i, p := range d.CPUTune.VCPUPin {
		if hosts, ok := cpus[strconv.FormatUint(uint64(p.VCPU), 10)]; ok {
			d.CPUTune.VCPUPin[i].CPUSet = guest.FormatCPUs(hosts)
		}
	}
	if d.CPUTune.EmulatorPin != nil {
		d.CPUTune.EmulatorPin.CPUSet = guest.FormatCPUs(n.EmulatorPins())
	}
	var all []int
	for i, m := range d.NUMATune.MemNodes {
		if cells, ok := n.CellPins()[strconv.FormatUint(uint64(m.CellID), 10)]; ok {
			d.NUMATune.MemNodes[i].Nodeset = guest.FormatCPUs(cells)
			all = append(all, cells...)
		}
	}
	if d.NUMATune.Memory != nil {
		d.NUMATune.Memory.Nodeset = guest.FormatCPUs(all)
	}
}
