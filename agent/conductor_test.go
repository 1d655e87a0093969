package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"bolide/rpc"
	"bolide/rpc/nova"
)

// recorder stands for the conductor in tests: it keeps one instance's record, answers from it, and writes down in what
// order it was called. Its methods are safe for concurrent use.
type recorder struct {
	profile nova.Profile

	mu       sync.Mutex
	lines    []string
	instance *nova.Object   // what Instance.get_by_uuid answers; saves change it
	answers  map[string]any // of methods, "InstanceList.get_by_filters"; none: an empty list or null
	filters  map[string]any // the last argument of each class method that had one
	fields   []string       // of saves that are written down
	asked    []asked        // of other services

	// refuse is asked for each line before it is answered; an error is the answer. Optional.
	refuse func(line string) error
}

// asked is what the node asked of another service, or of itself.
type asked struct {
	method string
	args   map[string]any
}

// stateFields are the fields of a save that say where the instance is in its life; allFields are those and more that
// users and operators see.
var (
	stateFields = []string{"vm_state", "task_state", "power_state", "host", "image_ref", "cleaned"}
	allFields   = append(slices.Clone(stateFields), "launched_on", "launched_at", "terminated_at", "updated_at", "instance_type_id")
)

func newRecorder() *recorder {
	return &recorder{profile: nova.Zed(), answers: map[string]any{}, filters: map[string]any{}, fields: stateFields}
}

var _ nova.Caller = (*recorder)(nil)

// Call implements [nova.Caller].
func (r *recorder) Call(ctx context.Context, _ rpc.Context, _ rpc.Target, method string, args map[string]any, _ ...rpc.CallOption) (json.RawMessage, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	switch method {
	case "object_action":
		return r.act(args["objinst"].(*nova.Object), args["objmethod"].(string), args["kwargs"].(map[string]any))
	case "migrate_server": // given back to the conductor, which may refuse it
		return json.RawMessage("null"), r.note("call " + method)
	case "object_class_action_versions":
		return r.answer(args["objname"].(string), args["objmethod"].(string), args["args"].([]any), args["kwargs"].(map[string]any))
	}
	return nil, fmt.Errorf("unexpected call %s", method)
}

// Cast implements [nova.Caller].
func (r *recorder) Cast(_ context.Context, _ rpc.Context, _ rpc.Target, method string, args map[string]any) error {
	if err := r.note("cast " + method); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, asked{method, args})
	return nil
}

// requestID differs from one test to the next.
var requestID = regexp.MustCompile(`req-[0-9a-f-]{36}`)

// note writes a line down and asks whether it may be answered.
func (r *recorder) note(line string) error {
	r.mu.Lock()
	line = requestID.ReplaceAllString(line, "REQUEST")
	r.lines = append(r.lines, line)
	refuse := r.refuse
	r.mu.Unlock()
	if refuse == nil {
		return nil
	}
	return refuse(line)
}

// act answers a method of an object: it changes nothing but the record of the instance.
func (r *recorder) act(o *nova.Object, method string, kwargs map[string]any) (json.RawMessage, error) {
	if err := r.note(describeAction(o, method, kwargs, r.fields)); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.instance == nil || method != "save":
	case o.Name() == "Instance":
		for _, f := range o.Changes() {
			r.instance.Set(f, o.Raw(f))
		}
		r.instance.ClearChanges()
	case o.Name() == "InstanceInfoCache":
		r.instance.Set("info_cache", o.Clone())
		r.instance.Obj("info_cache").ClearChanges()
		r.instance.ClearChanges()
	}
	return json.Marshal([]any{map[string]any{"obj_what_changed": []any{}}, r.answers[o.Name()+"."+method]})
}

// describeAction is the line for a method of an object; of a save it has those of the fields that are written.
func describeAction(o *nova.Object, method string, kwargs map[string]any, fields []string) string {
	switch line := o.Name() + "." + method; line {
	case "Instance.save":
		return "save" + savedStates(o, fields) + expectedTask(kwargs["expected_task_state"])
	case "Migration.save":
		return "migration " + o.Str("status")
	case "InstanceFault.create":
		return fmt.Sprintf("fault %d %s", o.Int("code"), o.Str("message"))
	default:
		return line
	}
}

// answer answers a class method.
func (r *recorder) answer(class, method string, args []any, kwargs map[string]any) (json.RawMessage, error) {
	line := describeClassAction(class, method, args, kwargs)
	if err := r.note(line); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(args) > 0 {
		r.filters[line] = args[0]
	}
	switch result, there := r.answers[line]; {
	case there:
		return json.Marshal(result)
	case line == "Instance.get_by_uuid" && r.instance == nil:
		return nil, nova.InstanceNotFound(fmt.Sprint(args...))
	case line == "Instance.get_by_uuid":
		return json.Marshal(r.instance)
	case line == "InstanceInfoCache.get_by_instance_uuid" && r.instance != nil:
		return json.Marshal(r.instance.Obj("info_cache"))
	case strings.HasSuffix(class, "List"):
		return json.Marshal(r.profile.NewList(class))
	}
	return json.RawMessage("null"), nil
}

// describeClassAction is the line for a method of a class.
func describeClassAction(class, method string, args []any, kwargs map[string]any) string {
	switch class {
	case "InstanceActionEvent":
		line := "event " + strings.TrimPrefix(method, "event_") + " " + args[1].(string)
		if text, _ := kwargs["exc_val"].(string); text != "" {
			line += ": " + text
		}
		return line
	case "InstanceAction":
		return "action " + args[1].(string)
	}
	return class + "." + method
}

// savedStates are those of the fields that are written.
func savedStates(o *nova.Object, fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		if slices.Contains(o.Changes(), f) {
			v := orNone(o.Raw(f))
			if strings.HasSuffix(f, "_at") {
				v = "now"
			}
			fmt.Fprintf(&b, " %s=%v", f, v)
		}
	}
	return b.String()
}

// expectedTask is what a save expects of the task state.
func expectedTask(states any) string {
	switch s := states.(type) {
	case nil:
		return ""
	case []any:
		names := make([]string, len(s))
		for i, v := range s {
			names[i] = fmt.Sprint(orNone(v))
		}
		return " if " + strings.Join(names, "|")
	default:
		return fmt.Sprint(" if ", s)
	}
}

func orNone(v any) any {
	if v == nil {
		return "none"
	}
	return v
}

// written are the lines that tell of states, events, faults and notifications, in their order.
func (r *recorder) written() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return onlyWrites(slices.Clone(r.lines))
}

func onlyWrites(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool {
		word, _, _ := strings.Cut(line, " ")
		return !slices.Contains([]string{"save", "event", "fault", "action", "cast", "call", "migration", "Instance.destroy", "told"}, word)
	})
}

// forget begins a new record.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines, r.asked = nil, nil
}
