package nova

// InstanceInfoCache is a view of the network information cached for an instance.
type InstanceInfoCache struct{ *Object }

func (c InstanceInfoCache) InstanceUUID() string { return c.Str("instance_uuid") }

// NetworkInfo is the JSON text of the VIF list, "" when unset.
func (c InstanceInfoCache) NetworkInfo() string { return c.Str("network_info") }

// SetNetworkInfo takes the JSON text of the VIF list.
func (c InstanceInfoCache) SetNetworkInfo(text string) { c.Set("network_info", text) }

// KeyPair is a view of an SSH key pair.
type KeyPair struct{ *Object }

func (k KeyPair) Name() string      { return k.Str("name") }
func (k KeyPair) Type() string      { return k.Str("type") } // "ssh" or "x509"
func (k KeyPair) PublicKey() string { return k.Str("public_key") }

// EC2Ids are the ids the EC2 form of the metadata shows.
type EC2Ids struct{ *Object }

func (e EC2Ids) InstanceID() string { return e.Str("instance_id") }
func (e EC2Ids) AMIID() string      { return e.Str("ami_id") }
func (e EC2Ids) KernelID() string   { return e.Str("kernel_id") }
func (e EC2Ids) RamdiskID() string  { return e.Str("ramdisk_id") }

// InstanceNUMATopology is a view of the virtual NUMA layout of an instance.
type InstanceNUMATopology struct{ *Object }

// Cells are InstanceNUMACell objects.
func (t InstanceNUMATopology) Cells() []*Object { return t.List("cells") }

// EmulatorThreadsPolicy is "share", "isolate" or "".
func (t InstanceNUMATopology) EmulatorThreadsPolicy() string {
	return t.Str("emulator_threads_policy")
}

// VirtualInterface is a view of the database row that ties a port to an instance.
type VirtualInterface struct{ *Object }

func (v VirtualInterface) ID() int64            { return v.Int("id") }
func (v VirtualInterface) UUID() string         { return v.Str("uuid") } // the Neutron port id
func (v VirtualInterface) InstanceUUID() string { return v.Str("instance_uuid") }
func (v VirtualInterface) Tag() string          { return v.Str("tag") }

// Address is the MAC address; rows are created with "MAC/port-id" and come back with the plain MAC.
func (v VirtualInterface) Address() string { return v.Str("address") }
