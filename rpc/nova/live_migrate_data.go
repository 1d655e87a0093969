package nova

// LiveMigrateData is a view of what the two hosts of a live migration agree on. It goes from the destination to the
// source and back through the conductor, each adding what it knows, and travels between hosts of different releases: a
// field that a host does not know is passed on, one that it has no answer for is not set.
type LiveMigrateData struct{ *Object }

// What the destination offers when it is asked first.

func (d LiveMigrateData) Filename() string     { return d.Str("filename") } // in its instances_path; is it in yours?
func (d LiveMigrateData) ImageType() string    { return d.Str("image_type") }
func (d LiveMigrateData) DiskAvailable() int64 { return d.Int("disk_available_mb") } // MiB
func (d LiveMigrateData) ListenVNC() string    { return d.Str("graphics_listen_addr_vnc") }
func (d LiveMigrateData) ListenSPICE() string  { return d.Str("graphics_listen_addr_spice") }
func (d LiveMigrateData) SerialHost() string   { return d.Str("serial_listen_addr") }
func (d LiveMigrateData) FileBackedMemory() bool {
	return d.Bool("dst_wants_file_backed_memory")
}

// What the source answers.

// BlockMigration is whether local disks are copied.
func (d LiveMigrateData) BlockMigration() bool  { return d.Bool("block_migration") }
func (d LiveMigrateData) SharedDirectory() bool { return d.Bool("is_shared_instance_path") }
func (d LiveMigrateData) SharedDisks() bool     { return d.Bool("is_shared_block_storage") }
func (d LiveMigrateData) VolumeBacked() bool    { return d.Bool("is_volume_backed") }

// Directory is the name of the instance's directory in instances_path.
func (d LiveMigrateData) Directory() string { return d.Str("instance_relative_path") }

// What the destination has prepared.

// Address is where the destination takes guests in; "": at its host name.
func (d LiveMigrateData) Address() string           { return d.Str("target_connect_addr") }
func (d LiveMigrateData) SerialPorts() []int64      { return d.Ints("serial_listen_ports") }
func (d LiveMigrateData) PerfEvents() []string      { return d.Strings("supported_perf_events") }
func (d LiveMigrateData) WaitForVIFs() bool         { return d.Bool("wait_for_vif_plugged") }
func (d LiveMigrateData) Volumes() []*Object        { return d.List("bdms") }
func (d LiveMigrateData) NUMA() LiveMigrateNUMA     { return LiveMigrateNUMA{d.Obj("dst_numa_info")} }
func (d LiveMigrateData) ClaimsNUMA() bool          { return d.Bool("src_supports_numa_live_migration") }
func (d LiveMigrateData) TakesNUMA() bool           { return d.Bool("dst_supports_numa_live_migration") }
func (d LiveMigrateData) VIFs() []VIFMigrateData    { return vifsOf(d.List("vifs")) }
func (d LiveMigrateData) Migration() Migration      { return Migration{d.Obj("migration")} }
func (d LiveMigrateData) SetMigration(m *Migration) { d.Set("migration", m.Object) }

func vifsOf(list []*Object) []VIFMigrateData {
	out := make([]VIFMigrateData, len(list))
	for i, o := range list {
		out[i] = VIFMigrateData{o}
	}
	return out
}

// VIFMigrateData is a view of one port: as it is at the source and as the destination has it bound.
type VIFMigrateData struct{ *Object }

func (v VIFMigrateData) PortID() string { return v.Str("port_id") }

// Source is the VIF at the source, as JSON in the form of the info cache's.
func (v VIFMigrateData) Source() string { return v.Str("source_vif") }

// Bound tells whether the port has a binding at the destination; the conductor makes it.
func (v VIFMigrateData) Bound() bool      { return !v.IsNull("vif_type") }
func (v VIFMigrateData) VIFType() string  { return v.Str("vif_type") }
func (v VIFMigrateData) VNICType() string { return v.Str("vnic_type") }

// Details and Profile are the binding's, as JSON; "" for none.
func (v VIFMigrateData) Details() string { return v.Str("vif_details_json") }
func (v VIFMigrateData) Profile() string { return v.Str("profile_json") }

// LiveMigrateNUMA is a view of where a guest's CPUs and cells go at the destination.
type LiveMigrateNUMA struct{ *Object }

// CPUPins and CellPins are the host's CPUs and cells for each of the guest's.
func (n LiveMigrateNUMA) CPUPins() map[string][]int  { return n.sets("cpu_pins") }
func (n LiveMigrateNUMA) CellPins() map[string][]int { return n.sets("cell_pins") }
func (n LiveMigrateNUMA) EmulatorPins() []int        { return n.numbers("emulator_pins") }

// RealtimeCPUs are the guest's CPUs with a realtime priority; none where the guest has no such CPUs.
func (n LiveMigrateNUMA) RealtimeCPUs() []int     { return n.numbers("sched_vcpus") }
func (n LiveMigrateNUMA) RealtimePriority() int64 { return n.Int("sched_priority") }

func (n LiveMigrateNUMA) sets(field string) map[string][]int {
	dict, _ := n.Raw(field).(map[string]any)
	out := make(map[string][]int, len(dict))
	for key, v := range dict {
		list, _ := v.([]any)
		for _, item := range list {
			out[key] = append(out[key], int(integer(item)))
		}
	}
	return out
}

func (n LiveMigrateNUMA) numbers(field string) []int {
	var out []int
	for _, v := range n.Ints(field) {
		out = append(out, int(v))
	}
	return out
}
