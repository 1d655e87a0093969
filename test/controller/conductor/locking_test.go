package conductor

import (
	"errors"
	"sync"
	"testing"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// guest makes an instance in a state and returns it as a node has it.
func guest(t *testing.T, db *cell.DB, state nova.VMState, task nova.TaskState) *nova.Object {
	t.Helper()
	o := nova.Zed().New("Instance")
	o.Set("vm_state", string(state))
	o.Set("display_name", "guest")
	if task != nova.NoTask {
		o.Set("task_state", string(task))
	}
	if err := db.Update(rpc.AdminContext(), func(tx *cell.Tx) error { return tx.CreateInstance(o) }); err != nil {
		t.Fatal(err)
	}
	return o
}

func save(db *cell.DB, o *nova.Object, e cell.Expected) error {
	return db.Update(rpc.AdminContext(), func(tx *cell.Tx) error { return tx.SaveInstance(o, e) })
}

func TestSaveHoldsToExpectedStates(t *testing.T) {
	for _, c := range []struct {
		name     string
		task     nova.TaskState
		expected cell.Expected
		class    string
		text     string
	}{
		{"as expected", nova.TaskSpawning, cell.Expect(nova.TaskSpawning), "", ""},
		{"one of several", nova.NoTask, cell.Expect(nova.TaskScheduling, nova.NoTask), "", ""},
		{"nothing expected", nova.TaskSpawning, nil, "", ""},
		{
			"another task", nova.TaskNetworking, cell.Expect(nova.TaskSpawning), "UnexpectedTaskStateError",
			"Expected: {'task_state': ['spawning']}. Actual: {'task_state': 'networking'}",
		},
		{
			"no task", nova.NoTask, cell.Expect(nova.TaskSpawning), "UnexpectedTaskStateError",
			"Expected: {'task_state': ['spawning']}. Actual: {'task_state': None}",
		},
		{
			"deleted meanwhile", nova.TaskDeleting, cell.Expect(nova.TaskSpawning, nova.NoTask), "UnexpectedDeletingTaskStateError",
			"Expected: {'task_state': ['spawning', None]}. Actual: {'task_state': 'deleting'}",
		},
		{
			"another state", nova.TaskSpawning, cell.Expected{"vm_state": {"active"}}, "InstanceUpdateConflict",
			"Expected: {'vm_state': ['active']}. Actual: {'vm_state': 'building'}",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := newCell(t)
			o := guest(t, db, nova.VMBuilding, c.task)
			o.Set("progress", 7)
			err := save(db, o, c.expected)
			if got := nova.ClassOf(err); got != c.class {
				t.Fatalf("class %q, want %q: %v", got, c.class, err)
			}
			if c.class != "" {
				var e *nova.Error
				errors.As(err, &e)
				want := "Conflict updating instance " + o.Str("uuid") + ". " + c.text
				if e.Message != want {
					t.Errorf("message %q, want %q", e.Message, want)
				}
			}
			progress := int64(0)
			err = db.View(nil, func(tx *cell.Tx) error {
				now, err := tx.Instance(o.Str("uuid"))
				progress = now.Int("progress")
				return err
			})
			if err != nil || (progress == 7) != (c.class == "") {
				t.Errorf("progress is %d, %v", progress, err)
			}
		})
	}
}

// TestOneOfManySavesWins: of writers that expect the same state only one finds it.
func TestOneOfManySavesWins(t *testing.T) {
	db := newCell(t)
	o := guest(t, db, nova.VMActive, nova.NoTask)
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		mine := o.Clone()
		mine.Set("task_state", string(nova.TaskPoweringOff))
		wg.Go(func() { results <- save(db, mine, cell.Expect(nova.NoTask)) })
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		switch {
		case err == nil:
			won++
		case !nova.Is(err, "UnexpectedTaskStateError"):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
}

func TestDestroyedInstanceIsGone(t *testing.T) {
	db := newCell(t)
	o := guest(t, db, nova.VMActive, nova.TaskDeleting)
	id := o.Str("uuid")
	rc := rpc.AdminContext()
	destroy := func() error { return db.Update(rc, func(tx *cell.Tx) error { return tx.DestroyInstance(o.Clone()) }) }
	stale := o.Clone()
	stale.Set("host", "elsewhere")
	if err := destroy(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"destroy again": destroy(),
		"save":          save(db, stale, nil),
		"info cache":    db.View(rc, func(tx *cell.Tx) error { _, err := tx.InfoCache(id); return err }),
		"look up":       db.View(rc, func(tx *cell.Tx) error { _, err := tx.Instance(id); return err }),
	} {
		if class := nova.ClassOf(err); class != "InstanceNotFound" && class != "InstanceInfoCacheNotFound" {
			t.Errorf("%s: %v", name, err)
		}
	}
	rc["read_deleted"] = "yes"
	err := db.View(rc, func(tx *cell.Tx) error {
		o, err := tx.Instance(id)
		if err == nil && !o.Bool("deleted") {
			t.Error("not marked deleted")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
