package cell

import (
	"slices"

	"github.com/google/uuid"

	"bolide/rpc/nova"
	"bolide/test/controller/store"
)

// Parts of an instance that are read only when asked for.
var (
	// joined are kept beside the instance.
	joined = []string{"metadata", "system_metadata", "info_cache", "security_groups", "pci_devices", "tags", "services", "fault"}
	// extras are kept in one more row; three more of them come with the flavor.
	extras  = []string{"numa_topology", "pci_requests", "flavor", "vcpu_model", "migration_context", "keypairs", "device_metadata", "trusted_certs", "resources"}
	flavors = []string{"flavor", "old_flavor", "new_flavor"}
)

func optional(field string) bool {
	return slices.Contains(joined, field) || slices.Contains(extras, field) || slices.Contains(flavors, field) || field == "ec2_ids"
}

// CreateInstance makes the instance's row and those of what belongs to it. The
// object gets them all.
func (t *Tx) CreateInstance(o *nova.Object) error {
	row := t.blank("Instance")
	id, err := t.tx.NextID("Instance")
	if err != nil {
		return err
	}
	row.Set("id", id)
	apply(row, o, o.Changes())
	if row.Str("uuid") == "" {
		row.Set("uuid", uuid.NewString())
	}
	if err := t.fillParts(row); err != nil {
		return err
	}
	if err := t.put(row); err != nil {
		return err
	}
	cache := t.blank("InstanceInfoCache")
	cache.Set("instance_uuid", row.Str("uuid"))
	if err := t.put(cache); err != nil {
		return err
	}
	whole, err := t.instanceView(row, created)
	if err != nil {
		return err
	}
	load(o, whole)
	return nil
}

// created are the parts of an instance just made that go to its node.
var created = []string{
	"metadata", "system_metadata", "info_cache", "security_groups", "tags", "ec2_ids", "flavor", "numa_topology", "pci_requests",
	"vcpu_model", "keypairs", "device_metadata", "trusted_certs", "resources",
}

// fillParts gives the parts that are empty lists the form that Nova sends.
func (t *Tx) fillParts(row *nova.Object) error {
	for field, class := range map[string]string{"security_groups": "SecurityGroupList", "tags": "TagList", "keypairs": "KeyPairList"} {
		if row.IsNull(field) {
			row.Set(field, t.emptyList(class))
		}
	}
	if row.IsNull("pci_requests") {
		o := t.profile.New("InstancePCIRequests")
		o.Set("instance_uuid", row.Str("uuid"))
		o.Set("requests", []*nova.Object{})
		o.ClearChanges()
		row.Set("pci_requests", o)
	}
	if row.IsNull("ec2_ids") {
		image, err := t.ec2Image(row.Str("image_ref"))
		if err != nil {
			return err
		}
		row.Set("ec2_ids", t.ec2IDs(row.Int("id"), image))
	}
	return nil
}

func (t *Tx) emptyList(class string) *nova.Object {
	o := t.profile.NewList(class)
	o.ClearChanges()
	return o
}

// Instance finds an instance with the optional parts named; InstanceNotFound.
func (t *Tx) Instance(uuid string, parts ...string) (*nova.Object, error) {
	row, err := t.instanceRow(uuid)
	if err != nil {
		return nil, err
	}
	return t.instanceView(row, parts)
}

func (t *Tx) instanceRow(uuid string) (*nova.Object, error) {
	var row *nova.Object
	if _, err := t.tx.Get("Instance", uuid, &row); err != nil {
		return nil, err
	}
	if row == nil || !t.shows(row) {
		return nil, nova.InstanceNotFound(uuid)
	}
	return row, nil
}

// Instances lists the instances that match, newest first, with the optional
// parts named.
func (t *Tx) Instances(match func(*nova.Object) bool, parts ...string) ([]*nova.Object, error) {
	rows, err := t.Rows("Instance", match)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b *nova.Object) int {
		if c := b.Time("created_at").Compare(a.Time("created_at")); c != 0 {
			return c
		}
		return int(b.Int("id") - a.Int("id"))
	})
	list := make([]*nova.Object, 0, len(rows))
	for _, row := range rows {
		o, err := t.instanceView(row, parts)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

// instanceView is an instance as it is sent: the columns, and the parts asked for.
func (t *Tx) instanceView(row *nova.Object, parts []string) (*nova.Object, error) {
	o := t.profile.New("Instance")
	for _, field := range row.Fields() {
		if !optional(field) {
			o.Set(field, raw(row, field))
		}
	}
	for _, part := range parts {
		if err := t.loadPart(o, row, part); err != nil {
			return nil, err
		}
	}
	o.ClearChanges()
	return o, nil
}

func (t *Tx) loadPart(o, row *nova.Object, part string) error {
	uuid := row.Str("uuid")
	switch part {
	case "info_cache":
		cache, err := t.infoCacheRow(uuid)
		if err != nil {
			return err
		}
		o.Set(part, cache)
	case "fault":
		fault, err := t.LatestFault(uuid)
		if err != nil {
			return err
		}
		o.Set(part, fault)
	case "pci_devices":
		devices, err := t.Rows("PciDevice", func(d *nova.Object) bool { return d.Str("instance_uuid") == uuid })
		if err != nil {
			return err
		}
		o.Set(part, t.list("PciDeviceList", devices))
	case "services":
		// Deleted ones as well: Nova's join does not look.
		services, err := store.All(t.tx, "Service", func(s *nova.Object) bool {
			return s.Str("host") == row.Str("host") && s.Str("binary") == "nova-compute"
		})
		if err != nil {
			return err
		}
		o.Set(part, t.list("ServiceList", services))
	case "flavor":
		for _, field := range flavors {
			o.Set(field, raw(row, field))
		}
	default:
		if optional(part) {
			o.Set(part, raw(row, part))
		}
	}
	return nil
}

// list is a list object without marks.
func (t *Tx) list(class string, items []*nova.Object) *nova.Object {
	o := t.profile.NewList(class, items...)
	o.ClearChanges()
	return o
}

// List is a list object as a lookup answers it.
func (t *Tx) List(class string, items []*nova.Object) *nova.Object { return t.list(class, items) }

// RefreshInstance gives an object what its instance is now, with the parts it
// has already.
func (t *Tx) RefreshInstance(o *nova.Object) error {
	parts := slices.DeleteFunc(o.Fields(), func(f string) bool { return !optional(f) })
	current, err := t.Instance(o.Str("uuid"), parts...)
	if err != nil {
		return err
	}
	for _, f := range o.Fields() {
		switch {
		case !current.Has(f):
		case f == "info_cache" && o.Obj(f).Exists():
			if err := t.RefreshInfoCache(o.Obj(f)); err != nil {
				return err
			}
		default:
			o.Set(f, raw(current, f))
		}
	}
	o.ClearChanges()
	return nil
}

// DestroyInstance marks the instance deleted, and all that belongs to it but its
// actions. An object without a host must not have got one meanwhile.
func (t *Tx) DestroyInstance(o *nova.Object) error {
	if !o.Has("id") {
		return actionError("destroy", "already destroyed")
	}
	row, err := t.instanceRow(o.Str("uuid"))
	if err != nil {
		return err
	}
	if o.Str("host") == "" && row.Str("host") != "" {
		return actionError("destroy", "host changed")
	}
	for _, class := range []string{"InstanceInfoCache", "InstanceFault", "BlockDeviceMapping", "Migration", "VirtualInterface", "ConsoleAuthToken"} {
		if err := t.eraseAll(class, row.Str("uuid")); err != nil {
			return err
		}
	}
	if err := t.erase(row); err != nil {
		return err
	}
	fresh, err := t.instanceView(row, nil)
	if err != nil {
		return err
	}
	load(o, fresh)
	o.Unset("id")
	return nil
}

// DropMigrationContext forgets what the instance held of a move.
func (t *Tx) DropMigrationContext(o *nova.Object) error {
	if o.IsNull("migration_context") {
		return nil
	}
	row, err := t.instanceRow(o.Str("uuid"))
	if err != nil {
		return err
	}
	row.Set("migration_context", nil)
	o.Set("migration_context", nil)
	return t.put(row)
}
