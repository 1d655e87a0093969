package conductor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// actions are the methods called on an object, by "Class.method".
var actions = map[string]func(*call, *nova.Object) (any, error){
	"Instance.save": func(k *call, o *nova.Object) (any, error) { return nil, k.tx.SaveInstance(o, expected(k)) },
	"Instance.refresh": func(k *call, o *nova.Object) (any, error) {
		return nil, k.tx.RefreshInstance(o)
	},
	"Instance.destroy":                func(k *call, o *nova.Object) (any, error) { return nil, k.tx.DestroyInstance(o) },
	"Instance.drop_migration_context": func(k *call, o *nova.Object) (any, error) { return nil, k.tx.DropMigrationContext(o) },
	"InstanceInfoCache.save":          func(k *call, o *nova.Object) (any, error) { return nil, k.tx.SaveInfoCache(o) },
	"InstanceInfoCache.refresh":       func(k *call, o *nova.Object) (any, error) { return nil, k.tx.RefreshInfoCache(o) },

	"Service.create": createService,
	"Service.save":   saveService,

	"ComputeNode.create": func(k *call, o *nova.Object) (any, error) { return nil, k.tx.Create(o) },
	"ComputeNode.save": func(k *call, o *nova.Object) (any, error) {
		return nil, k.tx.Save(o, computeHostNotFound(o.Str("host")))
	},
	"ComputeNode.destroy": func(k *call, o *nova.Object) (any, error) {
		return nil, k.tx.Destroy(o, computeHostNotFound(o.Str("host")))
	},

	"BlockDeviceMapping.create": func(k *call, o *nova.Object) (any, error) { return nil, k.tx.Create(o) },
	"BlockDeviceMapping.save":   func(k *call, o *nova.Object) (any, error) { return nil, k.tx.Save(o, bdmNotFound(o)) },
	"BlockDeviceMapping.destroy": func(k *call, o *nova.Object) (any, error) {
		err := k.tx.Destroy(o, bdmNotFound(o))
		o.Unset("id")
		return nil, err
	},

	"VirtualInterface.create":  createInterface,
	"VirtualInterface.save":    func(k *call, o *nova.Object) (any, error) { return nil, saveInterface(k, o) },
	"VirtualInterface.destroy": func(k *call, o *nova.Object) (any, error) { return nil, k.tx.Destroy(o, nil) },

	"Migration.create": createMigration,
	"Migration.save": func(k *call, o *nova.Object) (any, error) {
		return nil, k.tx.Save(o, nova.NewError("MigrationNotFound", map[string]any{"migration_id": o.Int("id")}))
	},

	"InstanceFault.create":       func(k *call, o *nova.Object) (any, error) { return nil, k.tx.Create(o) },
	"ConsoleAuthToken.authorize": authorize,
	"PciDevice.save":             savePCIDevice,
	"VolumeUsage.save":           func(k *call, o *nova.Object) (any, error) { return nil, createOrSave(k, o) },
	"TaskLog.begin_task":         beginTask,
	"TaskLog.end_task":           endTask,
	"InstanceGroup.get_hosts": func(k *call, o *nova.Object) (any, error) {
		rows, err := k.tx.Rows("Instance", func(i *nova.Object) bool {
			return slices.Contains(o.Strings("members"), i.Str("uuid")) && i.Str("host") != ""
		})
		hosts := []string{}
		for _, row := range rows {
			if !slices.Contains(hosts, row.Str("host")) {
				hosts = append(hosts, row.Str("host"))
			}
		}
		return hosts, err
	},
}

// expected reads the states given to Instance.save: a text, a list, or nothing.
func expected(k *call) cell.Expected {
	e := cell.Expected{}
	for i, field := range []string{"vm_state", "task_state"} {
		switch v := k.arg(i, "expected_"+field).(type) {
		case string:
			e[field] = []string{v}
		case []any:
			for _, state := range v {
				s, _ := state.(string) // null is the empty text
				e[field] = append(e[field], s)
			}
		}
	}
	return e
}

func createOrSave(k *call, o *nova.Object) error {
	if o.Has("id") {
		return k.tx.Save(o, nil)
	}
	return k.tx.Create(o)
}

func createService(k *call, o *nova.Object) (any, error) {
	if err := checkVersion(k, o); err != nil {
		return nil, err
	}
	host, binary, topic := o.Str("host"), o.Str("binary"), o.Str("topic")
	for class, match := range map[string]func(*nova.Object) bool{
		"ServiceBinaryExists": both("host", host, "binary", binary),
		"ServiceTopicExists":  both("host", host, "topic", topic),
	} {
		row, err := k.tx.Row("Service", match)
		if err != nil {
			return nil, err
		}
		if row != nil {
			return nil, nova.NewError(class, map[string]any{"host": host, "binary": binary, "topic": topic})
		}
	}
	return nil, k.tx.Create(o)
}

// checkVersion keeps nodes out that are older than those there are.
func checkVersion(k *call, o *nova.Object) error {
	lowest, err := k.tx.MinimumVersion(o.Str("binary"))
	if err == nil && lowest > 0 && o.Int("version") < lowest {
		err = nova.NewError("ServiceTooOld", map[string]any{
			"thisver": o.Int("version"), "minver": lowest, "binary": o.Str("binary"),
		})
	}
	return err
}

// saveService notes that the service lives when it has counted on.
func saveService(k *call, o *nova.Object) (any, error) {
	if err := checkVersion(k, o); err != nil {
		return nil, err
	}
	row, err := k.tx.Row("Service", func(s *nova.Object) bool { return s.Int("id") == o.Int("id") })
	if err != nil {
		return nil, err
	}
	if row != nil && slices.Contains(o.Changes(), "report_count") && o.Int("report_count") > row.Int("report_count") {
		o.Set("last_seen_up", k.tx.Now())
	}
	return nil, k.tx.Save(o, nova.NewError("ServiceNotFound", map[string]any{"service_id": o.Int("id")}))
}

func createInterface(k *call, o *nova.Object) (any, error) {
	if err := k.tx.Create(o); err != nil {
		return nil, err
	}
	interfaceView(o)
	return nil, nil
}

func saveInterface(k *call, o *nova.Object) error {
	err := k.tx.Save(o, nova.NewErrorText("NovaException", "virtual interface not found"))
	interfaceView(o)
	return err
}

func createMigration(k *call, o *nova.Object) (any, error) {
	if !o.Has("migration_type") {
		return nil, nova.NewError("ObjectActionError", map[string]any{
			"action": "create", "reason": "cannot create a Migration object without a migration_type set",
		})
	}
	rc := k.tx.Context()
	for field, value := range map[string]string{"user_id": rc.UserID(), "project_id": rc.ProjectID()} {
		if !o.Has(field) && value != "" {
			o.Set(field, value)
		}
	}
	return nil, k.tx.Create(o)
}

// authorize makes the token of a console; only its digest is kept.
func authorize(k *call, o *nova.Object) (any, error) {
	token := uuid.NewString()
	o.Unset("token")
	if err := k.tx.Create(o); err != nil {
		return nil, err
	}
	seconds := k.int(0, "ttl")
	if err := k.tx.KeepToken(o.Int("id"), TokenHash(token), k.tx.Now().Unix()+seconds); err != nil {
		return nil, err
	}
	o.Set("token", token)
	o.ClearChanges()
	return token, nil
}

// TokenHash is what is kept of a console's token.
func TokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// savePCIDevice finds the device by its address: it is saved without having been
// read.
func savePCIDevice(k *call, o *nova.Object) (any, error) {
	row, err := k.tx.Row("PciDevice", func(d *nova.Object) bool {
		return d.Int("compute_node_id") == o.Int("compute_node_id") && d.Str("address") == o.Str("address")
	})
	if err != nil {
		return nil, err
	}
	if row != nil {
		o.Set("id", row.Int("id"))
	}
	switch {
	case o.Str("status") == "deleted", o.Str("status") == "removed" && row == nil:
		return nil, nil
	case o.Str("status") == "removed":
		o.Set("status", "deleted")
		return nil, k.tx.Destroy(o, nil)
	}
	return nil, createOrSave(k, o)
}

func beginTask(k *call, o *nova.Object) (any, error) {
	name, host := o.Str("task_name"), o.Str("host")
	row, err := k.tx.Row("TaskLog", func(t *nova.Object) bool {
		return t.Str("task_name") == name && t.Str("host") == host && t.Str("period_beginning") == o.Str("period_beginning")
	})
	if err != nil {
		return nil, err
	}
	if row != nil {
		return nil, nova.NewError("TaskAlreadyRunning", map[string]any{"task_name": name, "host": host})
	}
	o.Set("state", "RUNNING")
	return nil, k.tx.Create(o)
}

func endTask(k *call, o *nova.Object) (any, error) {
	name, host := o.Str("task_name"), o.Str("host")
	row, err := k.tx.Row("TaskLog", func(t *nova.Object) bool {
		return t.Str("task_name") == name && t.Str("host") == host && t.Str("period_beginning") == o.Str("period_beginning")
	})
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, nova.NewError("TaskNotRunning", map[string]any{"task_name": name, "host": host})
	}
	o.Set("id", row.Int("id"))
	o.Set("state", "DONE")
	return nil, k.tx.Save(o, nil)
}

func bdmNotFound(o *nova.Object) error {
	return nova.NewErrorText("BDMNotFound", fmt.Sprintf("No Block Device Mapping with id %d.", o.Int("id")))
}
