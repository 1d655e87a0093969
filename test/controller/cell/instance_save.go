package cell

import (
	"slices"
	"strings"

	"bolide/rpc/nova"
)

// Expected are the states in which an instance may be saved, by field; the empty
// text stands for null. A field without states is not checked.
type Expected map[string][]string

// Expect is the task states in which an instance may be saved.
func Expect(tasks ...nova.TaskState) Expected {
	e := Expected{}
	for _, task := range tasks {
		e["task_state"] = append(e["task_state"], string(task))
	}
	return e
}

// SaveInstance writes an instance's changes, its parts by their own rules, if it
// is in one of the expected states. UnexpectedTaskStateError,
// UnexpectedDeletingTaskStateError or InstanceUpdateConflict if not.
func (t *Tx) SaveInstance(o *nova.Object, e Expected) error {
	row, err := t.instanceRow(o.Str("uuid"))
	if err != nil {
		return err
	}
	changes := o.Changes()
	if err := t.saveParts(row, o, changes); err != nil {
		return err
	}
	fields := slices.DeleteFunc(slices.Clone(changes), func(f string) bool {
		return optional(f) && f != "metadata" && f != "system_metadata"
	})
	if len(fields) == 0 {
		return t.put(row)
	}
	if err := e.check(row); err != nil {
		return err
	}
	if o.Has("services") { // Nova joins them before it writes: they are those of the old host
		if err := t.loadPart(o, row, "services"); err != nil {
			return err
		}
	}
	apply(row, o, fields)
	row.Set("updated_at", t.now)
	if err := t.put(row); err != nil {
		return err
	}
	parts := slices.DeleteFunc(slices.Clone(joined), func(f string) bool {
		return f == "pci_devices" || f == "services" || !o.Has(f) && f != "system_metadata"
	})
	fresh, err := t.instanceView(row, parts)
	if err != nil {
		return err
	}
	load(o, fresh)
	return nil
}

// saveParts writes the parts that are kept apart from the instance. Their marks
// on the object are cleared where Nova does so.
func (t *Tx) saveParts(row, o *nova.Object, changes []string) error {
	if cache := o.Obj("info_cache"); cache.Exists() {
		if err := t.SaveInfoCache(cache); err != nil {
			return err
		}
	}
	changed := func(f string) bool { return slices.Contains(changes, f) }
	if slices.ContainsFunc(flavors, changed) {
		for _, f := range flavors {
			if o.Has(f) {
				row.Set(f, raw(o, f))
				unmark(o, f)
			}
		}
	}
	for _, f := range extras {
		if f != "flavor" && f != "pci_requests" && changed(f) || f == "pci_requests" && !o.IsNull(f) {
			row.Set(f, cloned(o, f))
		}
	}
	if changed("keypairs") {
		unmark(o, "keypairs")
	}
	return nil
}

// cloned is a field's value that shares nothing with the object.
func cloned(o *nova.Object, field string) any {
	if nested := o.Obj(field); nested.Exists() {
		return nested.Clone()
	}
	return raw(o, field)
}

// unmark clears the mark of one field.
func unmark(o *nova.Object, field string) {
	marked := slices.DeleteFunc(o.Changes(), func(f string) bool { return f == field })
	o.ClearChanges()
	remark(o, marked)
}

// remark marks fields changed that keep their values.
func remark(o *nova.Object, fields []string) {
	for _, f := range fields {
		v := raw(o, f)
		o.Unset(f)
		o.Set(f, v)
	}
}

// check compares the row with what is expected of it.
func (e Expected) check(row *nova.Object) error {
	var fields []string
	for field, states := range e {
		if len(states) > 0 && !slices.Contains(states, row.Str(field)) {
			fields = append(fields, field)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	slices.Sort(fields)
	expected, actual := map[string]any{}, map[string]any{}
	var expectedText, actualText []string
	for _, f := range fields {
		states := make([]any, len(e[f]))
		texts := make([]string, len(e[f]))
		for i, s := range e[f] {
			states[i], texts[i] = null(s), python(s)
		}
		expected[f], actual[f] = states, row.Raw(f)
		expectedText = append(expectedText, "'"+f+"': ["+strings.Join(texts, ", ")+"]")
		actualText = append(actualText, "'"+f+"': "+python(row.Str(f)))
	}
	class := "InstanceUpdateConflict"
	if slices.Contains(fields, "task_state") {
		class = "UnexpectedTaskStateError"
		if row.Str("task_state") == string(nova.TaskDeleting) {
			class = "UnexpectedDeletingTaskStateError"
		}
	}
	err := nova.NewError(class, map[string]any{"instance_uuid": row.Str("uuid"), "expected": expected, "actual": actual})
	err.Message = "Conflict updating instance " + row.Str("uuid") + ". Expected: {" + strings.Join(expectedText, ", ") +
		"}. Actual: {" + strings.Join(actualText, ", ") + "}"
	return err
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func python(s string) string {
	if s == "" {
		return "None"
	}
	return "'" + s + "'"
}
