// Package domainxml turns the description of a guest into the libvirt domain that runs it.
//
// A Guest says everything about the virtual machine in plain values: the zero value of a field leaves the matching
// element out, so that libvirt's own default holds. Each device, and each other part of the domain, has a file of its
// own with the type that describes it and the one function that builds it. The package has no goroutines, touches no
// host and knows nothing of who asked for the guest; it follows https://libvirt.org/formatdomain.html.
package domainxml

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Guest is the full description of one virtual machine.
type Guest struct {
	Type     string // required: the accelerator, "kvm" or "qemu"
	Name     string // required: libvirt's name for the domain
	UUID     string // required
	Metadata string // XML fragment that libvirt stores and returns unread; must be well-formed

	Memory     Memory // required: Memory.KiB
	VCPUs      VCPUs  // required: VCPUs.Count
	CPU        CPU
	CPUTune    CPUTune
	NUMATune   NUMATune
	SMBIOS     SMBIOS
	Boot       Boot
	Features   Features
	Clock      Clock
	Lifecycle  Lifecycle
	PerfEvents []string // libvirt's names of the perf events to count
	SEV        SEV

	Disks       []Disk
	Controllers []Controller
	Interfaces  []Interface
	Serials     []Serial
	Consoles    []Console
	Channels    []Channel
	Inputs      []Input
	TPM         TPM
	Graphics    []Graphics
	Videos      []Video
	HostDevices []HostDevice
	Watchdog    Watchdog
	Balloon     Balloon
	RNG         RNG
	NVDIMMs     []NVDIMM
	IOMMU       IOMMU
}

// Build returns the domain that g describes, or every fault it finds in g joined into one error.
func Build(g Guest) (*libvirtxml.Domain, error) {
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("domain %s: %w", g.Name, err)
	}
	d := &libvirtxml.Domain{Type: g.Type, Name: g.Name, UUID: g.UUID}
	if g.Metadata != "" {
		d.Metadata = &libvirtxml.DomainMetadata{XML: g.Metadata}
	}
	g.Memory.build(d)
	g.VCPUs.build(d)
	d.CPU = g.CPU.build()
	d.CPUTune = g.CPUTune.build()
	d.NUMATune = g.NUMATune.build()
	g.SMBIOS.build(d)
	d.OS = g.Boot.build(g.SMBIOS)
	d.Features = g.Features.build()
	d.Clock = g.Clock.build()
	g.Lifecycle.build(d)
	d.Perf = buildPerf(g.PerfEvents)
	d.Devices = g.devices()
	g.SEV.build(d)
	return d, nil
}

// Marshal returns the XML text of the domain that g describes.
func Marshal(g Guest) (string, error) {
	d, err := Build(g)
	if err != nil {
		return "", err
	}
	text, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("domain %s: %w", g.Name, err)
	}
	return text, nil
}

func (g Guest) devices() *libvirtxml.DomainDeviceList {
	list := &libvirtxml.DomainDeviceList{
		Disks:       each(g.Disks, Disk.build),
		Controllers: each(g.Controllers, Controller.build),
		Interfaces:  each(g.Interfaces, Interface.build),
		Serials:     each(g.Serials, Serial.build),
		Consoles:    each(g.Consoles, Console.build),
		Channels:    each(g.Channels, Channel.build),
		Inputs:      each(g.Inputs, Input.build),
		Graphics:    each(g.Graphics, Graphics.build),
		Videos:      each(g.Videos, Video.build),
		Hostdevs:    each(g.HostDevices, buildHostDevice),
		Memorydevs:  each(g.NVDIMMs, NVDIMM.build),
		MemBalloon:  g.Balloon.build(),
	}
	if g.TPM != (TPM{}) {
		list.TPMs = []libvirtxml.DomainTPM{g.TPM.build()}
	}
	if g.Watchdog != (Watchdog{}) {
		list.Watchdogs = []libvirtxml.DomainWatchdog{g.Watchdog.build()}
	}
	if g.RNG != (RNG{}) {
		list.RNGs = []libvirtxml.DomainRNG{g.RNG.build()}
	}
	if g.IOMMU != (IOMMU{}) {
		list.IOMMUs = []libvirtxml.DomainIOMMU{g.IOMMU.build()}
	}
	return list
}

// check finds what libvirt would refuse, or worse, guess.
func (g Guest) check() error {
	var faults []error
	fault := func(missing bool, format string, args ...any) {
		if missing {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(g.Type == "", "no type")
	fault(g.Name == "", "no name")
	fault(g.UUID == "", "no uuid")
	fault(g.Memory.KiB == 0, "no memory")
	fault(g.VCPUs.Count == 0, "no vcpus")
	fault(g.Boot.Type == "", "no os type")
	if err := wellFormed(g.Metadata); err != nil {
		faults = append(faults, fmt.Errorf("metadata: %w", err))
	}
	targets := map[string]bool{}
	for _, disk := range g.Disks {
		if err := disk.check(); err != nil {
			faults = append(faults, fmt.Errorf("disk %s: %w", disk.Target, err))
		}
		fault(targets[disk.Target], "disk %s: target used twice", disk.Target)
		targets[disk.Target] = true
	}
	for _, nic := range g.Interfaces {
		if err := nic.check(); err != nil {
			faults = append(faults, fmt.Errorf("interface %s: %w", nic.MAC, err))
		}
	}
	return errors.Join(faults...)
}

// wellFormed refuses a fragment that would break out of the element it is placed in.
func wellFormed(fragment string) error {
	dec := xml.NewDecoder(strings.NewReader(fragment))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// each applies build to all of in; nil stays nil.
func each[T, D any](in []T, build func(T) D) []D {
	var out []D
	for _, v := range in {
		out = append(out, build(v))
	}
	return out
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func buildPerf(events []string) *libvirtxml.DomainPerf {
	if len(events) == 0 {
		return nil
	}
	return &libvirtxml.DomainPerf{Events: each(events, func(name string) libvirtxml.DomainPerfEvent {
		return libvirtxml.DomainPerfEvent{Name: name, Enabled: "yes"}
	})}
}
