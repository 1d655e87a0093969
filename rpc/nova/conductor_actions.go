package nova

import (
	"context"
)

// ActionStart records that the node begins an action by itself, for example a
// stop by the power state sync. Actions users ask for are recorded by the API.
func (c *Conductor) ActionStart(ctx context.Context, instanceUUID, action string) error {
	_, err := c.Class(ctx, "InstanceAction", "action_start",
		[]any{instanceUUID, action}, map[string]any{"want_result": false})
	return err
}

// ActionEventStart records that a part of the action of this request begins on
// this host. InstanceActionNotFound if no action has the request's id.
func (c *Conductor) ActionEventStart(ctx context.Context, instanceUUID, event string) error {
	_, err := c.Class(ctx, "InstanceActionEvent", "event_start",
		[]any{instanceUUID, event}, map[string]any{"host": c.host, "want_result": false})
	return err
}

// ActionEventFinish records the end of the part: with exc nil as a success,
// else as an error with exc's fault message for users and its full text for
// administrators.
func (c *Conductor) ActionEventFinish(ctx context.Context, instanceUUID, event string, exc error) error {
	kwargs := map[string]any{"exc_val": nil, "exc_tb": nil, "want_result": false}
	if exc != nil {
		kwargs["exc_val"] = FaultMessage(exc)
		// Conductor takes an event without a trace for a success.
		kwargs["exc_tb"] = faultDetails(exc)
	}
	_, err := c.Class(ctx, "InstanceActionEvent", "event_finish_with_failure", []any{instanceUUID, event}, kwargs)
	return err
}

// CreateFault records err as the fault of an instance, which users see.
// Administrators also see its full text if its code is 500.
func (c *Conductor) CreateFault(ctx context.Context, instanceUUID string, err error) error {
	code, details := FaultCode(err), ""
	if code == 500 {
		details = faultDetails(err)
	}
	o := c.profile.New("InstanceFault")
	o.Set("host", c.host)
	o.Set("instance_uuid", instanceUUID)
	o.Set("code", code)
	o.Set("message", FaultMessage(err))
	o.Set("details", details)
	return c.act(ctx, o, "create")
}

// LatestFault reads the last fault of an instance; nil if it has none.
func (c *Conductor) LatestFault(ctx context.Context, instanceUUID string) (*Object, error) {
	raw, err := c.Class(ctx, "InstanceFault", "get_latest_for_instance", []any{instanceUUID}, nil)
	if err != nil {
		return nil, err
	}
	return Decode(raw)
}
