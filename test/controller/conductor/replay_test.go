package conductor

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/store"
)

// recordings are messages between Nova's own services of Zed.
const recordings = "../../../rpc/nova/testdata/*.jsonl.gz"

// recorded is a call on an object, with its reply.
type recorded struct {
	file    string
	message message
	reply   message
}

type message struct {
	Method  string                     `json:"method"`
	Args    map[string]json.RawMessage `json:"args"`
	MsgID   string                     `json:"_msg_id"`
	Result  json.RawMessage            `json:"result"`
	Failure string                     `json:"failure"`
	Deleted string                     `json:"_context_read_deleted"`
}

func (r recorded) text(arg string) (s string) {
	_ = json.Unmarshal(r.message.Args[arg], &s) // of another kind of call: empty
	return s
}

// readRecordings reads the calls on objects that have a reply.
func readRecordings(t *testing.T) []recorded {
	t.Helper()
	files, err := filepath.Glob(recordings)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var calls []recorded
	replies := map[string]message{}
	for _, file := range files {
		for _, m := range readMessages(t, file) {
			switch m.Method {
			case "":
				replies[m.MsgID] = m
			case "object_action", "object_class_action_versions":
				calls = append(calls, recorded{file: filepath.Base(file), message: m})
			}
		}
	}
	for i, c := range calls {
		calls[i].reply = replies[c.message.MsgID]
	}
	return slices.DeleteFunc(calls, func(c recorded) bool { return c.reply.MsgID == "" })
}

func readMessages(t *testing.T, file string) []message {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []message
	for d := json.NewDecoder(z); ; {
		var line struct{ Message message }
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, line.Message)
	}
}

// ask puts a recorded call to the conductor of a cell.
func ask(t *testing.T, db *cell.DB, r recorded) (any, error) {
	t.Helper()
	request := &rpc.Request{Context: rpc.Context{"read_deleted": r.message.Deleted}, Method: r.message.Method, Args: r.message.Args, IsCall: true}
	return New(db).Endpoint().Methods[r.message.Method](t.Context(), request)
}

func newCell(t *testing.T) *cell.DB {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return cell.New(cell.Options{Store: s, Profile: nova.Zed(), Now: func() time.Time { return time.Unix(2e9, 0) }})
}

// unlike are fields that this conductor gives other values: times, numbers, and
// names made at random.
var unlike = []string{"id", "uuid", "created_at", "updated_at", "deleted_at", "last_seen_up", "token"}

// normal is a value as JSON, without the order of marks and of services, which
// Nova does not order either.
func normal(t *testing.T, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	sortUnordered(out)
	return out
}

func sortUnordered(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			sortUnordered(item)
		}
	case map[string]any:
		if v["nova_object.name"] == "ServiceList" {
			services := v["nova_object.data"].(map[string]any)["objects"].([]any)
			slices.SortFunc(services, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		for name, item := range v {
			if list, ok := item.([]any); ok && (strings.HasSuffix(name, "object.changes") || name == "obj_what_changed") {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			}
			sortUnordered(item)
		}
	}
}

// TestFailuresAsRecorded puts calls that failed to an empty cell.
func TestFailuresAsRecorded(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range readRecordings(t) {
		if r.reply.Failure == "" || r.message.Method != "object_class_action_versions" {
			continue
		}
		var want struct {
			Class, Message string
			Kwargs         map[string]any
		}
		if err := json.Unmarshal([]byte(r.reply.Failure), &want); err != nil {
			t.Fatal(err)
		}
		name := r.text("objname") + "." + r.text("objmethod")
		seen[name] = true
		_, err := ask(t, newCell(t), r)
		var got *nova.Error
		if !errors.As(err, &got) || got.Class != want.Class {
			t.Errorf("%s %s: %v, want %s", r.file, name, err, want.Class)
			continue
		}
		if got.Message != want.Message {
			t.Errorf("%s %s: %q, want %q", r.file, name, got.Message, want.Message)
		}
	}
	if len(seen) < 3 {
		t.Errorf("only %v failed in the recordings", seen)
	}
}

// TestLookupsAsRecorded fills a cell with what a recorded lookup found, and
// looks it up again.
func TestLookupsAsRecorded(t *testing.T) {
	seen := map[string]int{}
	for _, r := range readRecordings(t) {
		if r.reply.Failure != "" || r.message.Method != "object_class_action_versions" {
			continue
		}
		name := r.text("objname") + "." + r.text("objmethod")
		if _, known := classMethods[name]; !known {
			t.Errorf("%s: no %s", r.file, name)
			continue
		}
		objects, err := objectsIn(r.reply.Result)
		if err != nil || objects == nil || !keptAsRows(objects) {
			continue // no lookup, or of a part of an instance, which come with the instance
		}
		db := newCell(t)
		restore(t, db, objects)
		got, err := ask(t, db, r)
		if err != nil {
			t.Errorf("%s %s: %v", r.file, name, err)
			continue
		}
		seen[name]++
		if diff := cmp.Diff(normal(t, r.reply.Result), normal(t, got)); diff != "" {
			t.Errorf("%s %s (-recorded +ours):\n%s", r.file, name, diff)
		}
	}
	for _, name := range []string{
		"Instance.get_by_uuid", "InstanceList.get_by_host", "InstanceList.get_by_filters", "BlockDeviceMappingList.get_by_instance_uuid",
		"MigrationList.get_in_progress_and_error", "Migration.get_by_id", "ComputeNodeList.get_all_by_host", "Service.get_by_compute_host",
		"VirtualInterfaceList.get_by_instance_uuid",
	} {
		if seen[name] == 0 {
			t.Errorf("%s was not compared", name)
		}
	}
}

// objectsIn are the object of a result, or those of a list.
func objectsIn(result json.RawMessage) ([]*nova.Object, error) {
	o, err := nova.Decode(result)
	if err != nil || o == nil {
		return nil, err
	}
	if o.Has("objects") {
		return o.Objects(), nil
	}
	return []*nova.Object{o}, nil
}

func keptAsRows(objects []*nova.Object) bool {
	return !slices.ContainsFunc(objects, func(o *nova.Object) bool {
		return !slices.Contains([]string{
			"Instance", "Service", "ComputeNode", "BlockDeviceMapping", "VirtualInterface", "Migration", "InstanceInfoCache", "PciDevice",
		}, o.Name())
	})
}

// restore fills a cell with objects, and with the what lies beside instances.
func restore(t *testing.T, db *cell.DB, objects []*nova.Object) {
	t.Helper()
	err := db.Update(nil, func(tx *cell.Tx) error {
		for _, o := range objects {
			if cache := o.Obj("info_cache"); cache.Exists() {
				if err := tx.Restore(cache); err != nil {
					return err
				}
			}
			for _, beside := range append(o.List("pci_devices"), o.List("services")...) {
				if err := tx.Restore(beside); err != nil {
					return err
				}
			}
			if err := tx.Restore(o); err != nil {
				return fmt.Errorf("%s: %w", o.Name(), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestActionsAsRecorded puts each recorded call on an object to a cell that holds
// the object as it was before, and compares what is told to have changed.
func TestActionsAsRecorded(t *testing.T) {
	seen := map[string]int{}
	for _, r := range readRecordings(t) {
		if r.message.Method != "object_action" || r.reply.Failure != "" {
			continue
		}
		o, err := nova.Decode(r.message.Args["objinst"])
		if err != nil {
			t.Fatal(err)
		}
		name := o.Name() + "." + r.text("objmethod")
		if _, known := actions[name]; !known {
			t.Errorf("%s: no %s", r.file, name)
			continue
		}
		var reply []json.RawMessage
		var want map[string]json.RawMessage
		if err := errors.Join(json.Unmarshal(r.reply.Result, &reply), json.Unmarshal(reply[0], &want)); err != nil {
			t.Fatal(err)
		}
		db := newCell(t)
		if o.Has("id") || o.Has("instance_uuid") && !strings.HasSuffix(name, ".create") && !strings.HasSuffix(name, ".authorize") {
			restore(t, db, before(t, o, want, r))
		}
		result, err := ask(t, db, r)
		if err != nil {
			t.Errorf("%s %s: %v", r.file, name, err)
			continue
		}
		seen[name]++
		got, _ := normal(t, result).([]any)[0].(map[string]any)
		if name == "Instance.drop_migration_context" {
			// Here the text was read and written anew, which moves the keys that Nova does not know.
			delete(want, "info_cache")
			delete(got, "info_cache")
		}
		if diff := cmp.Diff(withoutUnlike(normal(t, want)), withoutUnlike(got)); diff != "" {
			t.Errorf("%s %s (-recorded +ours):\n%s", r.file, name, diff)
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %v were compared", seen)
	}
}

// before is what the cell held before a recorded call: the object with what the
// reply says has changed, but without what the call itself changes.
func before(t *testing.T, o *nova.Object, reply map[string]json.RawMessage, r recorded) []*nova.Object {
	t.Helper()
	row := o.Clone()
	for field, value := range reply {
		if field == "obj_what_changed" || field == "deleted" || field == "deleted_at" {
			continue
		}
		v, err := nova.DecodeValue(value)
		if err != nil {
			t.Fatal(err)
		}
		if nested, ok := v.(*nova.Object); ok {
			row.Set(field, nested)
			continue
		}
		row.Set(field, value)
	}
	switch {
	case row.Str("instance_uuid") != "":
		return []*nova.Object{row, instanceOf(row)}
	case o.Name() != "Instance":
		return []*nova.Object{row}
	}
	var kwargs struct {
		Task any `json:"expected_task_state"`
	}
	if err := json.Unmarshal(r.message.Args["kwargs"], &kwargs); err != nil {
		t.Fatal(err)
	}
	if services := row.List("services"); len(services) > 0 {
		row.Set("host", services[0].Str("host"))
	}
	if slices.Contains(o.Changes(), "task_state") || kwargs.Task != nil {
		switch task := kwargs.Task.(type) {
		case string:
			row.Set("task_state", task)
		case []any:
			row.Set("task_state", task[0])
		}
	}
	return []*nova.Object{row}
}

// instanceOf is the instance that a row belongs to.
func instanceOf(row *nova.Object) *nova.Object {
	o := nova.Zed().New("Instance")
	o.Set("id", 1)
	o.Set("uuid", row.Str("instance_uuid"))
	return o
}

// withoutUnlike forgets the values that cannot be the same, not that they are
// there. Whether an update within the same second changes updated_at is chance.
func withoutUnlike(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		for name, item := range out {
			out[name] = withoutUnlike(item)
			if slices.Contains(unlike, name) {
				out[name] = "any"
			}
		}
		delete(out, "updated_at")
		return out
	case []any:
		out := slices.Clone(v)
		for i := range out {
			out[i] = withoutUnlike(out[i])
		}
		return out
	}
	return v
}
