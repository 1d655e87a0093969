package agent

import (
	"io"
	"maps"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/rpc/nova"
)

// unrecorded are operations of which there is no recording: what Nova's API asks of the node for each.
var unrecorded = map[string]madeRequest{
	"add_fixed_ip":     {like: "stop", method: "add_fixed_ip_to_instance", vm: nova.VMActive, args: map[string]any{"network_id": ""}},
	"remove_fixed_ip":  {like: "stop", method: "remove_fixed_ip_from_instance", vm: nova.VMActive, args: map[string]any{"address": ""}},
	"backup":           {like: "snapshot", method: "backup_instance", vm: nova.VMActive, task: nova.TaskImageBackup, args: map[string]any{"backup_type": "daily", "rotation": 1}},
	"shelve_and_stay":  {like: "shelve", vm: nova.VMActive, task: nova.TaskShelving, offload: -time.Second},
	"start_from_shelf": {like: "start", vm: nova.VMShelved, task: nova.TaskPoweringOn},
	"crash_dump":       {like: "stop", method: "trigger_crash_dump", vm: nova.VMActive},
	"soft_delete":      {like: "stop", method: "soft_delete_instance", vm: nova.VMActive, task: nova.TaskSoftDeleting},
	"restore":          {like: "start", method: "restore_instance", vm: nova.VMSoftDeleted, task: nova.TaskRestoring},
	"shelve_offload":   {like: "stop", method: "shelve_offload_instance", vm: nova.VMShelved, task: nova.TaskShelvingOffloading},
	"force_delete":     {like: "delete", vm: nova.VMSoftDeleted, task: nova.TaskDeleting},
}

// madeRequest is a request that differs from a recorded one.
type madeRequest struct {
	like    string         // the recorded one
	method  string         // "": the same
	vm      nova.VMState   // of the instance
	task    nova.TaskState // of the instance
	args    map[string]any // others than the recorded one has
	offload time.Duration  // shelved_offload_time
}

// message is the request as it comes from Nova's API.
func (r madeRequest) message(t *testing.T, like message) message {
	t.Helper()
	inst := nova.As[nova.Instance](like.instance(t))
	inst.SetVMState(r.vm)
	inst.SetTaskState(r.task)
	m := like
	m.Message.Args = maps.Clone(like.Message.Args)
	m.Message.Args["instance"] = asJSON(t, inst)
	if r.method != "" {
		m.Message.Method = r.method
	}
	for name, v := range r.args {
		m.Message.Args[name] = asJSON(t, v)
	}
	return m
}

// listener is a log of notifications that are written down among the rest.
func (r *recorder) listener() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.AddHook(teller{r})
	return l
}

type teller struct{ *recorder }

func (teller) Levels() []logrus.Level { return logrus.AllLevels }

func (r teller) Fire(e *logrus.Entry) error { return r.note("told " + e.Data["event"].(string)) }
