package cell

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"bolide/rpc/nova"
	"bolide/test/controller/store"
)

// key is where a row is kept: instances and their caches under the instance's
// uuid, all others under their number.
func key(row *nova.Object) string {
	switch row.Name() {
	case "Instance":
		return row.Str("uuid")
	case "InstanceInfoCache":
		return row.Str("instance_uuid")
	}
	return store.Key(row.Int("id"))
}

// put keeps a row. What is marked inside nested objects stays marked, as in the
// text that Nova keeps of them.
func (t *Tx) put(row *nova.Object) error {
	row.ClearChanges()
	return t.tx.Put(row.Name(), key(row), row)
}

// Restore keeps a row as it is, under its own number, with what its class has
// besides. For rows that come from elsewhere.
func (t *Tx) Restore(o *nova.Object) error {
	row := t.blank(o.Name())
	apply(row, o, o.Fields())
	return t.put(row)
}

// Rows lists the rows of a class that the request may see and that match.
func (t *Tx) Rows(class string, match func(*nova.Object) bool) ([]*nova.Object, error) {
	return store.All(t.tx, class, func(row *nova.Object) bool {
		return t.shows(row) && (match == nil || match(row))
	})
}

// Row is the first of Rows, nil if there is none.
func (t *Tx) Row(class string, match func(*nova.Object) bool) (*nova.Object, error) {
	rows, err := t.Rows(class, match)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// byID finds a row by its number, nil if there is none.
func (t *Tx) byID(class string, id int64) (*nova.Object, error) {
	var row *nova.Object
	if _, err := t.tx.Get(class, store.Key(id), &row); err != nil {
		return nil, err
	}
	if row == nil || row.Bool("deleted") {
		return nil, nil
	}
	return row, nil
}

// Create makes a row of an object's changes; the object gets what else the row
// has. ObjectActionError if it has a row already.
func (t *Tx) Create(o *nova.Object) error {
	if o.Has("id") {
		return actionError("create", "already created")
	}
	class := o.Name()
	if _, known := columns[class]; !known {
		return fmt.Errorf("create %s: not a class with rows", class)
	}
	id, err := t.tx.NextID(class)
	if err != nil {
		return err
	}
	row := t.blank(class)
	row.Set("id", id)
	if row.Has("uuid") && class != "VirtualInterface" {
		row.Set("uuid", uuid.NewString())
	}
	apply(row, o, o.Changes())
	load(o, row)
	return t.put(row)
}

// Save writes an object's changes to its row; missing is the error when it has
// none. The object gets the row as it is then.
func (t *Tx) Save(o *nova.Object, missing error) error {
	row, err := t.byID(o.Name(), o.Int("id"))
	if err != nil {
		return err
	}
	if row == nil {
		return missing
	}
	changes := slices.DeleteFunc(o.Changes(), func(field string) bool { return field == "id" })
	if len(changes) > 0 {
		apply(row, o, changes)
		row.Set("updated_at", t.now)
	}
	load(o, row)
	return t.put(row)
}

// Destroy marks the object's row deleted.
func (t *Tx) Destroy(o *nova.Object, missing error) error {
	if !o.Has("id") {
		return actionError("destroy", "already destroyed")
	}
	row, err := t.byID(o.Name(), o.Int("id"))
	if err != nil {
		return err
	}
	if row == nil {
		return missing
	}
	return t.erase(row)
}

// erase marks a row deleted.
func (t *Tx) erase(row *nova.Object) error {
	row.Set("deleted", true)
	row.Set("deleted_at", t.now)
	return t.put(row)
}

// eraseAll marks the rows of a class deleted that belong to an instance.
func (t *Tx) eraseAll(class, instance string) error {
	rows, err := store.All(t.tx, class, func(row *nova.Object) bool {
		return row.Str("instance_uuid") == instance && !row.Bool("deleted")
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := t.erase(row); err != nil {
			return err
		}
	}
	return nil
}

// apply writes the named fields of an object to its row.
func apply(row, o *nova.Object, fields []string) {
	for _, field := range fields {
		row.Set(field, raw(o, field))
	}
}

// load gives an object what its row has, and clears its marks. Nested objects
// become the row's.
func load(o, row *nova.Object) {
	row = row.Clone()
	for _, field := range row.Fields() {
		if !internal(o.Name(), field) {
			o.Set(field, raw(row, field))
		}
	}
	o.ClearChanges()
}

// internal are columns that are not fields of the object, or that it leaves out
// when they are null.
func internal(class, field string) bool {
	switch class {
	case "ConsoleAuthToken":
		return field == "token_hash" || field == "expires" || field == "deleted" || field == "deleted_at"
	case "VirtualInterface":
		return field == "network_id"
	}
	return false
}

// raw is a field's value in a form that Set takes: it knows no plain lists.
func raw(o *nova.Object, field string) any {
	switch v := o.Raw(field).(type) {
	case []any, map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			return v
		}
		return json.RawMessage(text)
	default:
		return v
	}
}

func actionError(action, reason string) error {
	return nova.NewError("ObjectActionError", map[string]any{"action": action, "reason": reason})
}
