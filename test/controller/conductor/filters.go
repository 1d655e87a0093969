package conductor

import (
	"slices"
	"time"

	"bolide/rpc/nova"
)

// instancesByFilters: every filter is a field with one value or several. Those on
// deletion have rules of their own, and without them soft-deleted instances
// count as there.
func instancesByFilters(k *call) (any, error) {
	filters, _ := k.arg(0, "filters").(map[string]any)
	deleted, aboutDeleted := filters["deleted"].(bool)
	soft, aboutSoft := filters["soft_deleted"].(bool)
	if aboutDeleted {
		k.tx.ShowDeleted()
	}
	match := func(o *nova.Object) bool {
		softDeleted := o.Str("vm_state") == string(nova.VMSoftDeleted)
		switch {
		case aboutDeleted && deleted && !(o.Bool("deleted") || softDeleted && (soft || !aboutSoft)),
			aboutDeleted && !deleted && (o.Bool("deleted") || softDeleted && !soft):
			return false
		}
		for field, filter := range filters {
			if field != "deleted" && field != "soft_deleted" && !holds(o, field, filter) {
				return false
			}
		}
		return true
	}
	return instances(k, match, k.strings(6, "expected_attrs"))
}

func instancesHungInReboot(k *call) (any, error) {
	before := k.tx.Now().Add(-time.Duration(k.int(0, "reboot_window")) * time.Second)
	return instances(k, func(o *nova.Object) bool {
		return o.Str("task_state") == string(nova.TaskRebooting) && !o.Time("updated_at").After(before)
	}, k.strings(1, "expected_attrs"))
}

// instancesActive lists the instances that existed at some time in a period.
func instancesActive(k *call) (any, error) {
	begin, end := wireTime(k.str(0, "begin")), wireTime(k.str(1, "end"))
	host, _ := k.kwargs["host"].(string)
	k.tx.ShowDeleted()
	return instances(k, func(o *nova.Object) bool {
		ended := o.Time("terminated_at")
		launched := o.Time("launched_at")
		return (host == "" || o.Str("host") == host) && (ended.IsZero() || ended.After(begin)) &&
			!launched.IsZero() && (end.IsZero() || launched.Before(end))
	}, k.strings(5, "expected_attrs"))
}

// settled are the states in which a move holds nothing any more.
var settled = []string{"confirmed", "reverted", "failed", "completed", "cancelled", "done"}

// migrationsOf lists the moves from or to a node that are in none of the states.
func migrationsOf(k *call, states []string) (any, error) {
	host, node := k.str(0, "host"), k.str(1, "node")
	rows, err := k.tx.Rows("Migration", func(m *nova.Object) bool {
		from := m.Str("source_compute") == host && m.Str("source_node") == node
		to := m.Str("dest_compute") == host && m.Str("dest_node") == node
		return (from || to) && !slices.Contains(states, m.Str("status"))
	})
	if err != nil {
		return nil, err
	}
	return list(k, "MigrationList", rows, nil)
}

func migrationsByFilters(k *call) (any, error) {
	filters, _ := k.arg(0, "filters").(map[string]any)
	rows, err := k.tx.Rows("Migration", func(m *nova.Object) bool {
		for field, filter := range filters {
			switch field {
			case "host":
				if !holds(m, "source_compute", filter) && !holds(m, "dest_compute", filter) {
					return false
				}
			case "node":
				if !holds(m, "source_node", filter) && !holds(m, "dest_node", filter) {
					return false
				}
			default:
				if !holds(m, field, filter) {
					return false
				}
			}
		}
		return true
	})
	return list(k, "MigrationList", rows, err)
}

func migrationsUnconfirmed(k *call) (any, error) {
	before := k.tx.Now().Add(-time.Duration(k.int(0, "confirm_window")) * time.Second)
	host := k.str(1, "dest_compute")
	k.tx.ShowDeleted()
	rows, err := k.tx.Rows("Migration", func(m *nova.Object) bool {
		return m.Str("status") == "finished" && m.Str("dest_compute") == host && !m.Time("updated_at").After(before)
	})
	return list(k, "MigrationList", rows, err)
}
