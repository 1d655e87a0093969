package guest

import (
	"slices"
	"strconv"
	"strings"

	"bolide/rpc/nova"
)

// Names of the disks that are files of the instance's directory. Those of ephemeral disks are numbered.
const (
	RootDisk         = "disk"
	DefaultEphemeral = "disk.local"
	EphemeralPrefix  = "disk.eph"
	SwapDisk         = "disk.swap"
	ConfigDisk       = "disk.config"
	RescueDisk       = "disk.rescue"
	RescueConfig     = "disk.config.rescue"
)

// Disk is one disk of a guest.
type Disk struct {
	Name    string // of the file; "" for a volume
	Device  string // within the guest, without /dev: "vda"
	Bus     string // virtio, scsi, sata, ide, usb, fdc
	Type    string // disk, cdrom, floppy, lun
	Boot    int    // place in the boot order from 1; 0 does not boot
	Mapping *nova.BlockDeviceMapping
}

// Disks are the disks of a guest in the order in which they got their names.
type Disks struct {
	DiskBus  string // of hard disks that ask for none
	CDROMBus string
	Root     Disk // what the guest boots from
	List     []Disk
}

// Find returns the disk of a name.
func (d Disks) Find(name string) (Disk, bool) {
	i := slices.IndexFunc(d.List, func(disk Disk) bool { return disk.Name == name })
	if i < 0 {
		return Disk{}, false
	}
	return d.List[i], true
}

// NeedsConfigDrive tells whether the guest gets a config drive: it was asked for, the image insists, or the host forces
// it on new guests.
func NeedsConfigDrive(r Request) bool {
	image := r.Instance.Image()
	return r.Instance.ConfigDrive() || image.Prop("img_config_drive") == "mandatory" ||
		r.Settings.ForceConfigDrive && r.Instance.LaunchedAt().IsZero()
}

// PlanDisks gives every disk its bus and its name in the guest: those that block device rows already name keep it, and
// the rest follow in a fixed order. It changes nothing; AssignDeviceNames does.
func PlanDisks(r Request) (Disks, error) {
	p, err := newPlan(r)
	if err != nil {
		return Disks{}, err
	}
	if r.Rescue != nil && !r.Rescue.Stable() {
		err = p.rescue()
	} else {
		err = p.all()
	}
	if err == nil && r.Rescue.Stable() {
		err = p.addStableRescue()
	}
	if err != nil {
		return Disks{}, err
	}
	return p.out, nil
}

// plan is a plan of disks in the making.
type plan struct {
	r        Request
	rows     rows
	assigned []string // names that rows hold, taken even before their disks are planned
	out      Disks
}

func newPlan(r Request) (*plan, error) {
	p := &plan{r: r, rows: sortRows(r.BlockDevices)}
	var err error
	if p.out.DiskBus, err = p.busOf("disk", r.image()); err != nil {
		return nil, err
	}
	if p.out.CDROMBus, err = p.busOf("cdrom", r.image()); err != nil {
		return nil, err
	}
	for _, row := range p.rows.all() {
		if name := stripDev(row.DeviceName()); name != "" {
			p.assigned = append(p.assigned, name)
		}
	}
	return p, nil
}

// all plans the disks of a guest that is not rescued.
func (p *plan) all() error {
	for _, step := range []func() error{p.addRoot, p.addEphemerals, p.addSwap, p.addVolumes, p.addConfigDrive} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) addRoot() error {
	var row *nova.BlockDeviceMapping
	switch {
	case len(p.rows.images) > 0:
		row = p.rows.images[0]
	case len(p.rows.volumes) > 0:
		if i := slices.IndexFunc(p.rows.volumes, func(v *nova.BlockDeviceMapping) bool { return v.IsRoot() }); i >= 0 {
			row = p.rows.volumes[i]
		}
	}
	root, err := p.root(row, stripDev(p.r.Instance.RootDeviceName()))
	if err != nil {
		return err
	}
	p.out.Root = root
	if len(p.rows.images) > 0 || row == nil {
		p.out.List = append(p.out.List, root)
	}
	return nil
}

// root plans the root disk for its row, if it has one.
func (p *plan) root(row *nova.BlockDeviceMapping, device string) (Disk, error) {
	if row != nil {
		name := RootDisk
		if row.IsVolume() {
			name = ""
		}
		return p.fromRow(name, row, rowDefaults{bus: p.out.DiskBus, device: device})
	}
	bus, kind := p.out.DiskBus, "disk"
	if p.r.image().DiskFormat() == "iso" {
		bus, kind = p.out.CDROMBus, "cdrom"
	}
	if device == "" {
		var err error
		if device, err = p.free(bus, nil); err != nil {
			return Disk{}, err
		}
	}
	return Disk{Name: RootDisk, Device: device, Bus: bus, Type: kind, Boot: 1}, nil
}

func (p *plan) addEphemerals() error {
	if p.r.Instance.EphemeralGB() > 0 && len(p.rows.ephemerals) == 0 {
		if err := p.addNext(DefaultEphemeral, p.out.DiskBus, "disk", p.assigned); err != nil {
			return err
		}
	}
	for i, row := range p.rows.ephemerals {
		disk, err := p.fromRow(EphemeralPrefix+strconv.Itoa(i), row, rowDefaults{bus: p.out.DiskBus, assigned: p.assigned})
		if err != nil {
			return err
		}
		p.out.List = append(p.out.List, disk)
	}
	return nil
}

func (p *plan) addSwap() error {
	if p.rows.swap != nil && p.rows.swap.VolumeSize() > 0 {
		disk, err := p.fromRow(SwapDisk, p.rows.swap, rowDefaults{bus: p.out.DiskBus})
		if err != nil {
			return err
		}
		disk.Type, disk.Boot = "disk", 0
		p.out.List = append(p.out.List, disk)
		return nil
	}
	if p.r.Instance.Flavor().SwapMB() > 0 {
		return p.addNext(SwapDisk, p.out.DiskBus, "disk", p.assigned)
	}
	return nil
}

func (p *plan) addVolumes() error {
	for _, row := range p.rows.volumes {
		if row == p.out.Root.Mapping {
			p.out.List = append(p.out.List, p.out.Root)
			continue
		}
		disk, err := p.fromRow("", row, rowDefaults{assigned: p.assigned})
		if err != nil {
			return err
		}
		p.out.List = append(p.out.List, disk)
	}
	return nil
}

func (p *plan) addConfigDrive() error {
	if !NeedsConfigDrive(p.r) {
		return nil
	}
	return p.addDrive(ConfigDisk)
}

func (p *plan) addDrive(name string) error {
	kind := "cdrom"
	if p.r.Settings.ConfigDriveFormat == "vfat" {
		kind = "disk"
	}
	bus, err := p.busOf(kind, p.r.image())
	if err != nil {
		return err
	}
	return p.addNext(name, bus, kind, nil)
}

// rescue plans a guest with the rescue disk in front and the root disk behind it; its other disks stay away.
func (p *plan) rescue() error {
	if err := p.addNext(RescueDisk, p.out.DiskBus, "disk", nil); err != nil {
		return err
	}
	p.out.List[0].Boot = 1
	p.out.Root = p.out.List[0]
	if err := p.addNext(RootDisk, p.out.DiskBus, "disk", nil); err != nil {
		return err
	}
	if !NeedsConfigDrive(p.r) {
		return nil
	}
	return p.addDrive(RescueConfig)
}

// addStableRescue puts the rescue disk behind all others.
func (p *plan) addStableRescue() error {
	image := p.r.Rescue.Image
	kind := image.Prop("hw_rescue_device")
	switch {
	case kind == "":
		kind = "disk"
	case !slices.Contains(deviceTypes, kind):
		return nova.NewError("UnsupportedRescueDevice", map[string]any{"device": kind})
	}
	bus := image.Prop("hw_rescue_bus")
	switch {
	case bus == "":
		var err error
		if bus, err = p.busOf(kind, image); err != nil {
			return err
		}
	case !slices.Contains(diskBuses, bus):
		return nova.NewError("UnsupportedRescueBus", map[string]any{"bus": bus, "virt": p.r.Settings.VirtType})
	}
	return p.addNext(RescueDisk, bus, kind, nil)
}

// addNext plans a disk without a row under the next free name.
func (p *plan) addNext(name, bus, kind string, assigned []string) error {
	device, err := p.free(bus, assigned)
	if err != nil {
		return err
	}
	p.out.List = append(p.out.List, Disk{Name: name, Device: device, Bus: bus, Type: kind})
	return nil
}

// rowDefaults stand in for what a row leaves open.
type rowDefaults struct {
	bus      string
	device   string
	assigned []string
}

// fromRow plans the disk of a block device row.
func (p *plan) fromRow(name string, row *nova.BlockDeviceMapping, def rowDefaults) (Disk, error) {
	disk := Disk{Name: name, Device: stripDev(row.DeviceName()), Bus: row.DiskBus(), Type: row.DeviceType(), Mapping: row}
	if disk.Device == "" {
		disk.Device = def.device
	}
	if !slices.Contains(deviceTypes, disk.Type) {
		disk.Type = "disk"
	}
	if disk.Bus == "" {
		disk.Bus = def.bus
	}
	var err error
	if !slices.Contains(diskBuses, disk.Bus) {
		if disk.Device != "" {
			disk.Bus, err = busOfDevice(disk.Device)
		} else {
			disk.Bus, err = p.busOf(disk.Type, p.r.image())
		}
		if err != nil {
			return Disk{}, err
		}
	}
	if disk.Device == "" {
		if disk.Device, err = p.free(disk.Bus, def.assigned); err != nil {
			return Disk{}, err
		}
	}
	switch {
	case row.IsLocalImage():
		disk.Boot = 1
	case row.IsVolume() && row.BootIndex() >= 0:
		disk.Boot = int(row.BootIndex()) + 1
	}
	return disk, nil
}

// rows are the block device rows by what they are.
type rows struct {
	images, ephemerals, volumes []*nova.BlockDeviceMapping
	swap                        *nova.BlockDeviceMapping
}

func sortRows(all []*nova.BlockDeviceMapping) rows {
	var out rows
	for _, row := range all {
		switch {
		case row.NoDevice():
		case row.IsLocalImage():
			out.images = append(out.images, row)
		case row.IsSwap():
			out.swap = row
		case row.IsEphemeral():
			out.ephemerals = append(out.ephemerals, row)
		case row.IsVolume():
			out.volumes = append(out.volumes, row)
		}
	}
	return out
}

// all are the rows in the order in which they get their names.
func (s rows) all() []*nova.BlockDeviceMapping {
	out := slices.Concat(s.images, s.ephemerals)
	if s.swap != nil {
		out = append(out, s.swap)
	}
	return append(out, s.volumes...)
}

func stripDev(device string) string { return strings.TrimPrefix(device, "/dev/") }
