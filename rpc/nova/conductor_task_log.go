package nova

import (
	"context"
	"time"
)

// TaskLog is a view of the record of one periodic audit.
type TaskLog struct{ *Object }

// NewTaskLog describes an audit of items things of this host over a period.
func (c *Conductor) NewTaskLog(task string, begin, end time.Time, items int) *TaskLog {
	o := c.profile.New("TaskLog")
	o.Set("task_name", task)
	o.Set("host", c.host)
	o.Set("period_beginning", begin)
	o.Set("period_ending", end)
	o.Set("task_items", items)
	o.Set("message", task+" began") // an empty one fails in the database
	return As[TaskLog](o)
}

// Note says how the audit goes, in words and by the number of failed items.
func (t TaskLog) Note(message string, failed int) {
	t.Set("message", message)
	t.Set("errors", failed)
}

// TaskLog finds the record of an audit; nil if it did not run yet.
func (c *Conductor) TaskLog(ctx context.Context, task string, begin, end time.Time, host string) (*TaskLog, error) {
	return get[TaskLog](ctx, c, "TaskLog", "get", []any{task, isoTime(begin), isoTime(end), host}, nil)
}

// BeginTask claims the audit; TaskAlreadyRunning if another did.
func (c *Conductor) BeginTask(ctx context.Context, t *TaskLog) error {
	return c.act(ctx, t.Object, "begin_task")
}

// EndTask records the end of the audit; TaskNotRunning if it was not claimed.
func (c *Conductor) EndTask(ctx context.Context, t *TaskLog) error {
	return c.act(ctx, t.Object, "end_task")
}
