package nova

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"bolide/rpc"

	gocmp "github.com/google/go-cmp/cmp"
)

// answer is a Caller with one answer; it keeps what it was asked.
type answer struct {
	result json.RawMessage
	err    error

	target rpc.Target
	rc     rpc.Context
	method string
	args   map[string]any
	opts   []rpc.CallOption
	cast   bool
}

var _ Caller = (*answer)(nil)

func (a *answer) Call(_ context.Context, rc rpc.Context, t rpc.Target, method string, args map[string]any, opts ...rpc.CallOption) (json.RawMessage, error) {
	a.target, a.rc, a.method, a.args, a.opts, a.cast = t, rc, method, snapshot(args), opts, false
	return a.result, a.err
}

func (a *answer) Cast(_ context.Context, rc rpc.Context, t rpc.Target, method string, args map[string]any) error {
	a.target, a.rc, a.method, a.args, a.cast = t, rc, method, snapshot(args), true
	return a.err
}

// snapshot keeps arguments as they are now: objects change when the answer comes.
func snapshot(args map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range args {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		out[k] = json.RawMessage(raw)
	}
	return out
}

// faultNamed makes the error that has a recorded message; nil for none.
func faultNamed(message string) error {
	switch {
	case message == "":
		return nil
	case strings.Contains(message, "aborted: "):
		return NewErrorText("BuildAbortException", message)
	}
	return NewError("QemuGuestAgentNotEnabled", nil)
}

// normaliseCall evens out where Nova's node says the same in another way than
// Bolide does.
func normaliseCall(name string, k *call, args map[string]json.RawMessage) {
	switch name {
	case "Instance.get_by_uuid":
		if len(k.args) == 0 {
			k.args = []json.RawMessage{k.kwargs["uuid"]}
			delete(k.kwargs, "uuid")
		}
	case "Instance.save":
		switch v := k.kwarg("expected_task_state").(type) {
		case nil: // no check
			delete(k.kwargs, "expected_task_state")
		case []any: // a list of one
			if s, ok := v[0].(string); ok && len(v) == 1 {
				k.kwargs["expected_task_state"], _ = json.Marshal(s)
			}
		}
	case "InstanceList.get_by_filters": // Nova's default loads parts that nobody reads
		if k.kwargs["expected_attrs"] == nil {
			k.kwargs["expected_attrs"] = json.RawMessage(`[]`)
		}
	case "InstanceFault.create": // the details are Nova's stack trace
		if k.o.Str("details") != "" {
			k.o.Set("details", "BuildAbortException: "+k.o.Str("message"))
		}
		args["objinst"], _ = json.Marshal(k.o)
	case "InstanceActionEvent.event_finish_with_failure": // so is the trace
		if k.kwarg("exc_tb") != nil {
			k.kwargs["exc_tb"], _ = json.Marshal("QemuGuestAgentNotEnabled: " + text(k.kwarg("exc_val")))
		}
	}
	args["args"], _ = json.Marshal(k.args)
	args["kwargs"], _ = json.Marshal(k.kwargs)
}

func replayCall(t *testing.T, r *recorded, name string, k call) {
	t.Helper()
	make, ok := typedCalls[name]
	if !ok {
		t.Fatalf("no typed call for %s", name)
	}
	peer := &answer{result: r.result}
	if r.failure != nil {
		peer.err = r.failure
	}
	var host string
	k.into(k.kwargs["host"], &host)
	if host == "" && k.o != nil {
		host = k.o.Str("host")
	}
	k.c = NewConductor(peer, Zed(), host)
	if k.kwarg("use_slave") == true {
		k.c = k.c.FromReplica()
	}
	err := make(t.Context(), k)
	switch {
	case r.failure != nil && !Is(err, r.failure.Class):
		t.Errorf("%s %s: got %v, want %s", r.file, name, err, r.failure.Class)
	case r.failure == nil && r.result != nil && err != nil:
		t.Errorf("%s %s: %v", r.file, name, err)
	}
	exchange, key := routingKey(peer.target)
	if exchange != r.Exchange || key != r.Key || peer.target.Version != r.Message.Version ||
		peer.target.Namespace != r.Message.Namespace || peer.method != r.Message.Method || peer.cast != r.cast {
		t.Errorf("%s %s: sent %s to %+v", r.file, name, peer.method, peer.target)
	}
	sameJSON(t, r.file+" "+name, r.Message.Args, peer.args)
}

// TestHeartbeatsFollowEachOther applies each recorded answer and expects the
// next recorded request: updates and change sets must be taken over rightly.
func TestHeartbeatsFollowEachOther(t *testing.T) {
	var service *Service
	beats := 0
	for _, r := range recordings(t) {
		if r.file != "startup.jsonl.gz" || r.Message.Method != "object_action" {
			continue
		}
		o, err := Decode(r.Message.Args["objinst"])
		if err != nil {
			t.Fatal(err)
		}
		if o.Name() != "Service" {
			continue
		}
		if service == nil { // the creation
			service = As[Service](o)
		} else {
			service.Beat()
			beats++
			sameJSON(t, "heartbeat", r.Message.Args["objinst"], service)
		}
		c := NewConductor(&answer{result: r.result}, Zed(), "vm")
		if err := c.SaveService(t.Context(), service); err != nil {
			t.Fatal(err)
		}
		if changes := service.Changes(); len(changes) > 0 {
			t.Errorf("after saving %v is still changed", changes)
		}
	}
	if beats < 3 {
		t.Errorf("only %d heartbeats", beats)
	}
}

func TestSaveInstanceTakesOverTheAnswer(t *testing.T) {
	saves := 0
	for _, r := range recordings(t) {
		if r.Message.Method != "object_action" || string(r.Message.Args["objmethod"]) != `"save"` || r.result == nil {
			continue
		}
		o, err := Decode(r.Message.Args["objinst"])
		if err != nil {
			t.Fatal(err)
		}
		var reply []map[string]json.RawMessage
		if err := json.Unmarshal(r.result, &reply); err != nil {
			t.Fatal(err)
		}
		if _, err := NewConductor(&answer{result: r.result}, Zed(), "vm").Action(t.Context(), o, "save", nil, nil); err != nil {
			t.Fatal(err)
		}
		var dirty []string
		for field, raw := range reply[0] {
			if field == "obj_what_changed" {
				_ = json.Unmarshal(raw, &dirty)
				continue
			}
			sameJSON(t, o.Name()+"."+field, raw, o.Raw(field))
		}
		slices.Sort(dirty)
		if diff := gocmp.Diff(dirty, o.Changes(), gocmp.Transformer("nonNil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Errorf("%s %s changes (-conductor +ours):\n%s", r.file, o.Name(), diff)
		}
		saves++
	}
	if saves < 300 {
		t.Errorf("only %d saves", saves)
	}
}

func TestActionKeepsTheObjectOnError(t *testing.T) {
	tests := map[string]*answer{
		"failure":         {err: &rpc.RemoteError{Failure: rpc.Failure{Class: "UnexpectedDeletingTaskStateError", Module: "nova.exception"}}},
		"timeout":         {err: rpc.ErrTimeout},
		"no pair":         {result: json.RawMessage(`{}`)},
		"one value":       {result: json.RawMessage(`[{}]`)},
		"malformed field": {result: json.RawMessage(`[{"obj_what_changed":7},null]`)},
	}
	for name, peer := range tests {
		t.Run(name, func(t *testing.T) {
			inst := Instance{NewObject("Instance", "2.7")}
			inst.SetTaskState(TaskSpawning)
			before, _ := json.Marshal(inst)
			err := NewConductor(peer, Zed(), "h").SaveInstance(t.Context(), &inst, Expect{})
			if err == nil {
				t.Fatal("no error")
			}
			if peer.err != nil && !errors.Is(err, peer.err) {
				t.Errorf("%v does not wrap %v", err, peer.err)
			}
			if after, _ := json.Marshal(inst); string(before) != string(after) {
				t.Errorf("the object changed: %s", after)
			}
		})
	}
}

func TestExpect(t *testing.T) {
	tests := []struct {
		name string
		e    Expect
		want string
	}{
		{"no check", Expect{}, `{}`},
		{"one", ExpectTask(TaskSpawning), `{"expected_task_state":"spawning"}`},
		{"none", ExpectTask(NoTask), `{"expected_task_state":[null]}`},
		{"several", ExpectTask(TaskScheduling, NoTask), `{"expected_task_state":["scheduling",null]}`},
		{"states", Expect{VMStates: []VMState{VMActive, VMStopped}}, `{"expected_vm_state":["active","stopped"]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := json.Marshal(tt.e.kwargs())
			if err != nil || string(raw) != tt.want {
				t.Errorf("got %s (%v), want %s", raw, err, tt.want)
			}
		})
	}
}

func TestActionEventFinishWithFailure(t *testing.T) {
	peer := &answer{result: json.RawMessage(`null`)}
	c := NewConductor(peer, Zed(), "h")
	exc := BuildAbort("U", "no disk").Because(errors.New("write /dev/sdx: no space left"))
	if err := c.ActionEventFinish(t.Context(), "U", "compute_x", exc); err != nil {
		t.Fatal(err)
	}
	sameJSON(t, "kwargs", json.RawMessage(`{"exc_val":"Build of instance U aborted: no disk",
		"exc_tb":"BuildAbortException: Build of instance U aborted: no disk: write /dev/sdx: no space left","want_result":false}`), peer.args["kwargs"])
}

func TestTheContextGoesAlong(t *testing.T) {
	peer := &answer{result: json.RawMessage(`null`)}
	rc := rpc.AdminContext()
	c := NewConductor(peer, Zed(), "h").With(rc)
	if _, err := c.ServiceByHostAndBinary(t.Context(), "h", BinaryCompute); err != nil {
		t.Fatal(err)
	}
	if peer.rc.RequestID() != rc.RequestID() {
		t.Errorf("called as %s, want %s", peer.rc.RequestID(), rc.RequestID())
	}
}

func TestNoServiceIsNil(t *testing.T) {
	s, err := NewConductor(&answer{result: json.RawMessage(`null`)}, Zed(), "h").ServiceByHostAndBinary(t.Context(), "h", BinaryCompute)
	if s != nil || err != nil {
		t.Errorf("got %v, %v", s, err)
	}
}
