package compute

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/web"
)

// action is something that can be done to a server.
type action struct {
	name string         // in the record of actions
	from []nova.VMState // in which it may be done; nil is any
	task nova.TaskState // set first; NoTask sets none
	busy bool           // may be done while another task runs

	parts []string // of the instance that go to the node
	// run asks the node, or does what there is to do. The instance is in the
	// task already.
	run func(*request) error
	// answer is the status of a success, 202 unless set.
	answer int
}

// request is an action on its way.
type request struct {
	*Service
	*web.Call
	rc   rpc.Context
	inst *nova.Instance
	arg  json.RawMessage // what the caller gave for the action
}

// read decodes the argument of the action.
func (r *request) read(v any) error {
	if len(r.arg) == 0 || string(r.arg) == "null" {
		return nil
	}
	if err := json.Unmarshal(r.arg, v); err != nil {
		return web.Refuse(http.StatusBadRequest, "", "malformed argument: %s", err)
	}
	return nil
}

// tell casts to the instance's node, with the instance among the arguments.
func (r *request) tell(method string, args map[string]any) error {
	return r.cast(r.rc, r.inst.Host(), method, r.args(args))
}

// ask calls the instance's node.
func (r *request) ask(method string, args map[string]any) (json.RawMessage, error) {
	raw, err := r.o.Caller.Call(r.Context(), r.rc, node(r.inst.Host()), method, r.args(args))
	return raw, refuse(err)
}

func (r *request) args(more map[string]any) map[string]any {
	args := map[string]any{"instance": r.inst}
	maps.Copy(args, more)
	return args
}

// casts is an action that is one cast with fixed arguments.
func casts(method string, args map[string]any) func(*request) error {
	return func(r *request) error { return r.tell(method, args) }
}

var anyPower = []nova.VMState{nova.VMActive, nova.VMStopped, nova.VMPaused, nova.VMSuspended}

// actions are those of POST …/action, by the key in the body.
var actions = map[string]action{
	"pause":   {name: "pause", from: []nova.VMState{nova.VMActive}, task: nova.TaskPausing, parts: basics, run: casts("pause_instance", nil)},
	"unpause": {name: "unpause", from: []nova.VMState{nova.VMPaused}, task: nova.TaskUnpausing, parts: basics, run: casts("unpause_instance", nil)},
	"suspend": {name: "suspend", from: []nova.VMState{nova.VMActive}, task: nova.TaskSuspending, parts: withFlavor, run: casts("suspend_instance", nil)},
	"resume":  {name: "resume", from: []nova.VMState{nova.VMSuspended}, task: nova.TaskResuming, parts: basics, run: casts("resume_instance", nil)},
	"os-stop": {
		name: "stop", from: []nova.VMState{nova.VMActive, nova.VMError}, task: nova.TaskPoweringOff,
		parts: []string{"metadata", "system_metadata"}, run: casts("stop_instance", map[string]any{"clean_shutdown": true}),
	},
	"os-start": {
		name: "start", from: []nova.VMState{nova.VMStopped}, task: nova.TaskPoweringOn,
		parts: []string{"metadata", "system_metadata"}, run: casts("start_instance", nil),
	},
	"rescue":   {name: "rescue", from: []nova.VMState{nova.VMActive, nova.VMStopped, nova.VMError}, task: nova.TaskRescuing, parts: withFlavor, run: rescue, answer: http.StatusOK},
	"unrescue": {name: "unrescue", from: []nova.VMState{nova.VMRescued}, task: nova.TaskUnrescuing, parts: basics, run: casts("unrescue_instance", nil)},
	"createImage": {
		name: "createImage", from: anyPower, task: nova.TaskImageSnapshotPending, parts: withNUMA, run: createImage,
	},
	"rebuild":       {name: "rebuild", from: []nova.VMState{nova.VMActive, nova.VMStopped, nova.VMError}, task: nova.TaskRebuilding, parts: withNUMA, run: rebuild},
	"resize":        {name: "resize", from: []nova.VMState{nova.VMActive, nova.VMStopped}, task: nova.TaskResizePrep, parts: resizeParts, run: resize},
	"migrate":       {name: "migrate", from: []nova.VMState{nova.VMActive, nova.VMStopped}, task: nova.TaskResizePrep, parts: resizeParts, run: migrate},
	"confirmResize": {name: "confirmResize", from: []nova.VMState{nova.VMResized}, parts: withNUMA, run: confirmResize, answer: http.StatusNoContent},
	"revertResize":  {name: "revertResize", from: []nova.VMState{nova.VMResized}, task: nova.TaskResizeReverting, parts: withNUMA, run: revertResize},
	"os-migrateLive": {
		name: "live-migration", from: []nova.VMState{nova.VMActive, nova.VMPaused}, task: nova.TaskMigrating, parts: resizeParts, run: migrateLive,
	},
	"shelve": {name: "shelve", from: anyPower, task: nova.TaskShelving, parts: withFlavor, run: shelve},
	"shelveOffload": {
		name: "shelveOffload", from: []nova.VMState{nova.VMShelved}, task: nova.TaskShelvingOffloading, parts: basics,
		run: casts("shelve_offload_instance", map[string]any{"clean_shutdown": true, "accel_uuids": []any{}}),
	},
	"unshelve": {
		name: "unshelve", from: []nova.VMState{nova.VMShelved, nova.VMShelvedOffloaded}, task: nova.TaskUnshelving, parts: withFlavor, run: unshelve,
	},
	"changePassword":      {name: "changePassword", from: []nova.VMState{nova.VMActive}, task: nova.TaskUpdatingPassword, parts: basics, run: changePassword},
	"lock":                {name: "lock", busy: true, parts: basics, run: func(r *request) error { return r.lock(true) }},
	"unlock":              {name: "unlock", busy: true, parts: basics, run: func(r *request) error { return r.lock(false) }},
	"os-getConsoleOutput": {busy: true, parts: basics, run: consoleOutput, answer: http.StatusOK},
	"os-resetState":       {busy: true, parts: basics, run: resetState},
	"trigger_crash_dump":  {name: "trigger_crash_dump", from: []nova.VMState{nova.VMActive, nova.VMPaused, nova.VMRescued}, busy: true, parts: basics, run: casts("trigger_crash_dump", nil)},
	"addFixedIp":          {busy: true, parts: basics, run: addFixedIP},
	"removeFixedIp":       {busy: true, parts: basics, run: removeFixedIP},
}

// reboots are actions of their own, chosen by an argument.
var reboots = map[string]action{
	"SOFT": {
		name: "reboot", from: []nova.VMState{nova.VMActive}, task: nova.TaskRebooting, parts: withNUMA,
		run: casts("reboot_instance", map[string]any{"block_device_info": nil, "reboot_type": "SOFT"}),
	},
	"HARD": {
		name: "reboot", from: append([]nova.VMState{nova.VMError, nova.VMRescued}, anyPower...), task: nova.TaskRebootingHard, parts: withNUMA,
		run: casts("reboot_instance", map[string]any{"block_device_info": nil, "reboot_type": "HARD"}),
	},
}

func (s *Service) act(c *web.Call) error {
	var body map[string]json.RawMessage
	if err := c.Read(&body); err != nil {
		return err
	}
	for name, arg := range body {
		a, known := actions[name]
		if name == "reboot" {
			var how struct{ Type string }
			if err := json.Unmarshal(arg, &how); err != nil {
				return web.Refuse(http.StatusBadRequest, "", "malformed argument: %s", err)
			}
			a, known = reboots[how.Type]
		}
		if !known || len(body) != 1 {
			return web.Refuse(http.StatusBadRequest, "", "There is no such action: %s", name)
		}
		return s.perform(c, a, arg)
	}
	return web.Refuse(http.StatusBadRequest, "", "No action was given.")
}

// perform records the action, sets its task, and runs it.
func (s *Service) perform(c *web.Call, a action, arg json.RawMessage) error {
	r := &request{Service: s, Call: c, rc: s.context(c), arg: arg}
	if err := refuse(s.o.DB.Update(r.rc, func(tx *cell.Tx) error { return r.begin(tx, a) })); err != nil {
		return err
	}
	answered := &recorder{ResponseWriter: c.Answer}
	c.Answer = answered
	if err := a.run(r); err != nil || answered.used {
		return err
	}
	if a.answer != 0 {
		return c.Done(a.answer)
	}
	return c.Done(http.StatusAccepted)
}

// recorder notes whether an answer was given.
type recorder struct {
	http.ResponseWriter
	used bool
}

func (w *recorder) WriteHeader(status int) {
	w.used = true
	w.ResponseWriter.WriteHeader(status)
}

func (r *request) begin(tx *cell.Tx, a action) error {
	id := r.PathValue("id")
	o, err := tx.Instance(id, basics...)
	if err != nil {
		return err
	}
	inst := nova.As[nova.Instance](o)
	if a.from != nil && !slices.Contains(a.from, inst.VMState()) {
		return web.Refuse(http.StatusConflict, "", "Cannot '%s' instance %s while it is in vm_state %s", a.name, id, inst.VMState())
	}
	if !a.busy && inst.TaskState() != nova.NoTask {
		return web.Refuse(http.StatusConflict, "", "Cannot '%s' instance %s while it is in task_state %s", a.name, id, inst.TaskState())
	}
	if inst.Host() == "" && a.task != nova.TaskUnshelving && a.task != nova.NoTask {
		return web.Refuse(http.StatusConflict, "", "Instance %s is not ready", id)
	}
	if a.task != nova.NoTask {
		o.Set("task_state", string(a.task))
		if err := tx.SaveInstance(o, cell.Expect(nova.NoTask)); err != nil {
			return err
		}
	}
	if a.name != "" {
		if _, err := tx.StartAction(id, a.name); err != nil {
			return err
		}
	}
	o, err = tx.Instance(id, a.parts...)
	r.inst = nova.As[nova.Instance](o)
	return err
}

// giveUp takes an instance out of its task when nothing came of the action.
func (r *request) giveUp(cause error) error {
	err := r.o.DB.Update(r.rc, func(tx *cell.Tx) error {
		o, err := tx.Instance(r.inst.UUID())
		if err != nil {
			return err
		}
		o.Set("task_state", nil)
		return tx.SaveInstance(o, nil)
	})
	if err != nil {
		r.o.Log.WithError(err).WithField("instance", r.inst.UUID()).Warn("an action could not be taken back")
	}
	return cause
}

func (r *request) lock(locked bool) error {
	return r.o.DB.Update(r.rc, func(tx *cell.Tx) error {
		o, err := tx.Instance(r.inst.UUID())
		if err != nil {
			return err
		}
		o.Set("locked", locked)
		o.Set("locked_by", nil)
		if locked {
			o.Set("locked_by", "admin")
		}
		return tx.SaveInstance(o, nil)
	})
}

func resetState(r *request) error {
	var arg struct{ State string }
	if err := r.read(&arg); err != nil {
		return err
	}
	return r.o.DB.Update(r.rc, func(tx *cell.Tx) error {
		o, err := tx.Instance(r.inst.UUID())
		if err != nil {
			return err
		}
		o.Set("vm_state", arg.State)
		o.Set("task_state", nil)
		return tx.SaveInstance(o, nil)
	})
}

func changePassword(r *request) error {
	var arg struct{ AdminPass string }
	if err := r.read(&arg); err != nil {
		return err
	}
	_, err := r.ask("set_admin_password", map[string]any{"new_pass": arg.AdminPass})
	return err
}

func addFixedIP(r *request) error {
	var arg struct{ NetworkID string }
	if err := r.read(&arg); err != nil {
		return err
	}
	return r.tell("add_fixed_ip_to_instance", map[string]any{"network_id": arg.NetworkID})
}

func removeFixedIP(r *request) error {
	var arg struct{ Address string }
	if err := r.read(&arg); err != nil {
		return err
	}
	return r.tell("remove_fixed_ip_from_instance", map[string]any{"address": arg.Address})
}

// deleteServer asks the node to end the instance; one that is on no node is
// deleted here.
func (s *Service) deleteServer(c *web.Call) error {
	rc := s.context(c)
	var inst *nova.Instance
	var bdms []*nova.Object
	err := s.o.DB.Update(rc, func(tx *cell.Tx) error {
		id := c.PathValue("id")
		o, err := tx.Instance(id, withNUMA...)
		if err != nil {
			return err
		}
		if _, err := tx.StartAction(id, "delete"); err != nil {
			return err
		}
		inst = nova.As[nova.Instance](o)
		if inst.Host() == "" {
			return tx.DestroyInstance(o.Clone())
		}
		o.Set("task_state", string(nova.TaskDeleting))
		o.Set("progress", 0)
		if err := tx.SaveInstance(o, nil); err != nil {
			return err
		}
		bdms, err = tx.Rows("BlockDeviceMapping", func(b *nova.Object) bool { return b.Str("instance_uuid") == id })
		return err
	})
	if err != nil {
		return refuse(err)
	}
	if inst.Host() == "" {
		err = s.forget(inst.UUID())
	} else {
		list := s.o.DB.Profile().NewList("BlockDeviceMappingList", bdms...)
		err = s.cast(rc, inst.Host(), "terminate_instance", map[string]any{"instance": inst, "bdms": list})
	}
	if err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

// forget gives back what an instance that is on no node has taken.
func (s *Service) forget(instance string) error {
	if err := s.o.Placement.Release(instance); err != nil {
		return err
	}
	return s.network.Release(instance)
}
