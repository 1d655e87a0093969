package cell

import (
	"fmt"

	"bolide/rpc/nova"
)

// infoCacheRow is null when the instance has none.
func (t *Tx) infoCacheRow(instance string) (*nova.Object, error) {
	var row *nova.Object
	if _, err := t.tx.Get("InstanceInfoCache", instance, &row); err != nil {
		return nil, err
	}
	if row == nil || !t.shows(row) {
		return nil, nil
	}
	return row, nil
}

// InfoCache finds an instance's network information; InstanceInfoCacheNotFound.
func (t *Tx) InfoCache(instance string) (*nova.Object, error) {
	row, err := t.infoCacheRow(instance)
	if err == nil && row == nil {
		err = nova.NewError("InstanceInfoCacheNotFound", map[string]any{"instance_uuid": instance})
	}
	return row, err
}

// SaveInfoCache writes network information that was changed.
func (t *Tx) SaveInfoCache(o *nova.Object) error {
	changed := false
	for _, f := range o.Changes() {
		changed = changed || f == "network_info"
	}
	if !changed {
		o.ClearChanges()
		return nil
	}
	instance := o.Str("instance_uuid")
	if _, err := t.instanceRow(instance); err != nil {
		return err
	}
	row, err := t.infoCacheRow(instance)
	if err != nil {
		return err
	}
	if row == nil {
		row = t.blank("InstanceInfoCache")
		row.Set("instance_uuid", instance)
	}
	row.Set("network_info", o.Str("network_info"))
	row.Set("updated_at", t.now)
	if err := t.put(row); err != nil {
		return err
	}
	load(o, row)
	return nil
}

// RefreshInfoCache reads network information again.
func (t *Tx) RefreshInfoCache(o *nova.Object) error {
	row, err := t.InfoCache(o.Str("instance_uuid"))
	if err != nil {
		return err
	}
	for _, f := range o.Fields() {
		if row.Has(f) {
			o.Set(f, raw(row, f))
		}
	}
	o.ClearChanges()
	return nil
}

// LatestFault is the last fault of an instance, nil if it has none.
func (t *Tx) LatestFault(instance string) (*nova.Object, error) {
	rows, err := t.Rows("InstanceFault", func(f *nova.Object) bool { return f.Str("instance_uuid") == instance })
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[len(rows)-1], nil
}

// ec2Image is the number that the EC2 names of an image are made of.
func (t *Tx) ec2Image(imageID string) (int64, error) {
	if imageID == "" {
		return 0, nil
	}
	const bucket = "ec2_images"
	var id int64
	found, err := t.tx.Get(bucket, imageID, &id)
	if err != nil || found {
		return id, err
	}
	if id, err = t.tx.NextID(bucket); err != nil {
		return 0, err
	}
	return id, t.tx.Put(bucket, imageID, id)
}

// ec2IDs are an instance's names in EC2's API. They are marked as Nova marks
// them: they have no row of their own.
func (t *Tx) ec2IDs(instance, image int64) *nova.Object {
	o := t.profile.New("EC2Ids")
	o.Set("instance_id", fmt.Sprintf("i-%08x", instance))
	o.Set("ami_id", "")
	if image != 0 {
		o.Set("ami_id", fmt.Sprintf("ami-%08x", image))
	}
	o.Set("kernel_id", nil)
	o.Set("ramdisk_id", nil)
	return o
}

// EC2IDs are an instance's names in EC2's API.
func (t *Tx) EC2IDs(instance string) (*nova.Object, error) {
	row, err := t.instanceRow(instance)
	if err != nil {
		return nil, err
	}
	return row.Obj("ec2_ids"), nil
}

// KeepToken notes the digest of a console's token, and when it expires.
func (t *Tx) KeepToken(id int64, hash string, expires int64) error {
	row, err := t.byID("ConsoleAuthToken", id)
	if err != nil {
		return err
	}
	row.Set("token_hash", hash)
	row.Set("expires", expires)
	return t.put(row)
}

// Token finds the console that a token's digest opens, nil if it opens none now.
func (t *Tx) Token(hash string) (*nova.Object, error) {
	return t.Row("ConsoleAuthToken", func(row *nova.Object) bool {
		return row.Str("token_hash") == hash && row.Int("expires") > t.now.Unix()
	})
}
