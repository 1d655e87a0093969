package cell

import (
	"cmp"

	"bolide/rpc/nova"
)

// StartAction notes that the request begins an action on an instance, by which
// its events are found.
func (t *Tx) StartAction(instance, action string) (*nova.Object, error) {
	o := t.profile.New("InstanceAction")
	o.Set("instance_uuid", instance)
	o.Set("action", action)
	o.Set("request_id", t.rc.RequestID())
	o.Set("user_id", null(t.rc.UserID()))
	o.Set("project_id", null(t.rc.ProjectID()))
	o.Set("start_time", t.now)
	o.Set("updated_at", t.now)
	return o, t.Create(o)
}

// action finds the action an event of the request belongs to. Work that nobody
// asked for, such as recovery after a restart, goes on with the last action.
func (t *Tx) action(instance string) (row *nova.Object, asked bool, err error) {
	var last *nova.Object
	rows, err := t.Rows("InstanceAction", func(a *nova.Object) bool { return a.Str("instance_uuid") == instance })
	for _, a := range rows {
		if a.Str("request_id") == t.rc.RequestID() {
			return a, true, err
		}
		last = a
	}
	if err == nil && (last == nil || t.rc.ProjectID() != "") {
		err = nova.NewError("InstanceActionNotFound", map[string]any{"request_id": t.rc.RequestID(), "instance_uuid": instance})
	}
	return last, false, err
}

// StartEvent notes that a part of the request's action begins on a host.
func (t *Tx) StartEvent(instance, event, host string) (*nova.Object, error) {
	action, asked, err := t.action(instance)
	if err != nil {
		return nil, err
	}
	o := t.profile.New("InstanceActionEvent")
	o.Set("action_id", action.Int("id"))
	o.Set("event", event)
	o.Set("start_time", t.now)
	o.Set("host", null(host))
	if err := t.Create(o); err != nil {
		return nil, err
	}
	return o, t.touch(action, asked)
}

// Finish is how a part of an action ended.
type Finish struct {
	Message string // what users may read; "" for a success
	Trace   string // what administrators may; "" for a success
	Failed  bool
}

// FinishEvent notes the end of a part of the request's action.
func (t *Tx) FinishEvent(instance, event string, f Finish) (*nova.Object, error) {
	action, asked, err := t.action(instance)
	if err != nil {
		return nil, err
	}
	row, err := t.Row("InstanceActionEvent", func(e *nova.Object) bool {
		return e.Int("action_id") == action.Int("id") && e.Str("event") == event
	})
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, nova.NewError("InstanceActionEventNotFound", map[string]any{"action_id": action.Int("id"), "event": event})
	}
	row.Set("finish_time", t.now)
	row.Set("result", "Success")
	if f.Failed {
		row.Set("result", "Error")
		row.Set("traceback", f.Trace)
		row.Set("details", null(f.Message))
		action.Set("message", "Error")
	}
	if err := t.put(row); err != nil {
		return nil, err
	}
	return row, t.touch(action, asked || f.Failed)
}

// touch keeps an action, with the time of the change if it is one.
func (t *Tx) touch(action *nova.Object, changed bool) error {
	if changed {
		action.Set("updated_at", t.now)
	}
	return t.put(action)
}

// Actions of an instance, newest first, also of one that is deleted.
func (t *Tx) Actions(instance string) ([]*nova.Object, error) {
	rows, err := t.Rows("InstanceAction", func(a *nova.Object) bool { return a.Str("instance_uuid") == instance })
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows, err
}

// Events of an action, oldest first.
func (t *Tx) Events(action *nova.Object) ([]*nova.Object, error) {
	return t.Rows("InstanceActionEvent", func(e *nova.Object) bool { return e.Int("action_id") == action.Int("id") })
}

// Service of a host, nil if there is none.
func (t *Tx) Service(host, binary string) (*nova.Object, error) {
	return t.Row("Service", func(s *nova.Object) bool { return s.Str("host") == host && s.Str("binary") == binary })
}

// MinimumVersion is the lowest version of the services of a binary, 0 while
// there is none.
func (t *Tx) MinimumVersion(binary string) (int64, error) {
	rows, err := t.Rows("Service", func(s *nova.Object) bool { return s.Str("binary") == binary && !s.Bool("forced_down") })
	lowest := int64(0)
	for _, s := range rows {
		if v := s.Int("version"); lowest == 0 || cmp.Compare(v, lowest) < 0 {
			lowest = v
		}
	}
	return lowest, err
}
