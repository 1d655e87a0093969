package nova

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// call is one recorded object call, ready to be made by the typed client.
type call struct {
	t      *testing.T
	c      *Conductor
	o      *Object // of an object_action
	args   []json.RawMessage
	kwargs map[string]json.RawMessage
}

func (k call) str(i int) string {
	var s string
	if err := json.Unmarshal(k.args[i], &s); err != nil {
		k.t.Fatal(err)
	}
	return s
}

func (k call) into(raw json.RawMessage, v any) {
	if raw == nil {
		return
	}
	if err := json.Unmarshal(raw, v); err != nil {
		k.t.Fatal(err)
	}
}

func (k call) strings(raw json.RawMessage) (out []string) { k.into(raw, &out); return out }
func (k call) int(i int) (out int64)                      { k.into(k.args[i], &out); return out }
func (k call) attrs() []string                            { return k.strings(k.kwargs["expected_attrs"]) }
func (k call) dict(i int) (out map[string]any)            { k.into(k.args[i], &out); return out }
func (k call) kwarg(name string) (out any)                { k.into(k.kwargs[name], &out); return out }

func ignore[T any](_ T, err error) error { return err }

// typedCalls makes, for each method seen in the recordings, the call through the typed client.
var typedCalls = map[string]func(ctx context.Context, k call) error{
	"BlockDeviceMapping.save":                     func(ctx context.Context, k call) error { return k.c.SaveBlockDevice(ctx, As[BlockDeviceMapping](k.o)) },
	"BlockDeviceMappingList.get_by_instance_uuid": func(ctx context.Context, k call) error { return ignore(k.c.BlockDevices(ctx, k.str(0))) },
	"BlockDeviceMappingList.get_by_instance_uuids": func(ctx context.Context, k call) error {
		return ignore(k.c.BlockDevicesByInstances(ctx, k.strings(k.args[0])))
	},
	"ComputeNode.create": func(ctx context.Context, k call) error { return k.c.CreateComputeNode(ctx, As[ComputeNode](k.o)) },
	"ComputeNode.save":   func(ctx context.Context, k call) error { return k.c.SaveComputeNode(ctx, As[ComputeNode](k.o)) },
	"ComputeNode.get_by_host_and_nodename": func(ctx context.Context, k call) error {
		return ignore(k.c.ComputeNodeByHostAndNode(ctx, k.str(0), k.str(1)))
	},
	"ComputeNode.get_first_node_by_host_for_old_compat": func(ctx context.Context, k call) error { return ignore(k.c.FirstComputeNode(ctx, k.str(0))) },
	"ComputeNodeList.get_all_by_host":                   func(ctx context.Context, k call) error { return ignore(k.c.ComputeNodesByHost(ctx, k.str(0))) },
	"ConsoleAuthToken.authorize": func(ctx context.Context, k call) error {
		return ignore(k.c.AuthorizeConsole(ctx, As[ConsoleAuthToken](k.o), time.Duration(k.int(0))*time.Second))
	},
	"ConsoleAuthToken.clean_console_auths_for_instance": func(ctx context.Context, k call) error { return k.c.CleanConsoleAuths(ctx, k.str(0)) },
	"EC2Ids.get_by_instance": func(ctx context.Context, k call) error {
		o, err := Decode(k.args[0])
		if err != nil {
			return err
		}
		return ignore(k.c.InstanceEC2Ids(ctx, As[Instance](o)))
	},
	"Instance.get_by_uuid": func(ctx context.Context, k call) error { return ignore(k.c.Instance(ctx, k.str(0), k.attrs()...)) },
	"Instance.save": func(ctx context.Context, k call) error {
		return k.c.SaveInstance(ctx, As[Instance](k.o), k.expect())
	},
	"Instance.refresh":                func(ctx context.Context, k call) error { return k.c.RefreshInstance(ctx, As[Instance](k.o)) },
	"Instance.destroy":                func(ctx context.Context, k call) error { return k.c.DestroyInstance(ctx, As[Instance](k.o)) },
	"Instance.drop_migration_context": func(ctx context.Context, k call) error { return k.c.DropMigrationContext(ctx, As[Instance](k.o)) },
	"InstanceActionEvent.event_start": func(ctx context.Context, k call) error { return k.c.ActionEventStart(ctx, k.str(0), k.str(1)) },
	"InstanceActionEvent.event_finish_with_failure": func(ctx context.Context, k call) error {
		return k.c.ActionEventFinish(ctx, k.str(0), k.str(1), faultNamed(text(k.kwarg("exc_val"))))
	},
	"InstanceFault.create": func(ctx context.Context, k call) error {
		return k.c.CreateFault(ctx, k.o.Str("instance_uuid"), faultNamed(k.o.Str("message")))
	},
	"InstanceGroup.get_by_instance_uuid": func(ctx context.Context, k call) error { return ignore(k.c.GroupOfInstance(ctx, k.str(0))) },
	"InstanceInfoCache.save":             func(ctx context.Context, k call) error { return k.c.SaveInfoCache(ctx, As[InstanceInfoCache](k.o)) },
	"InstanceInfoCache.refresh":          func(ctx context.Context, k call) error { return k.c.RefreshInfoCache(ctx, As[InstanceInfoCache](k.o)) },
	"InstanceList.get_by_filters": func(ctx context.Context, k call) error {
		return ignore(k.c.InstancesByFilters(ctx, k.dict(0), k.attrs()...))
	},
	"InstanceList.get_by_host": func(ctx context.Context, k call) error {
		return ignore(k.c.InstancesByHost(ctx, k.str(0), k.attrs()...))
	},
	"InstanceList.get_by_host_and_node": func(ctx context.Context, k call) error {
		return ignore(k.c.InstancesByHostAndNode(ctx, k.str(0), k.str(1), k.attrs()...))
	},
	"InstanceNUMATopology.get_by_instance_uuid": func(ctx context.Context, k call) error { return ignore(k.c.InstanceNUMATopology(ctx, k.str(0))) },
	"InstancePCIRequests.get_by_instance_uuid":  func(ctx context.Context, k call) error { return ignore(k.c.InstancePCIRequests(ctx, k.str(0))) },
	"Migration.get_by_id":                       func(ctx context.Context, k call) error { return ignore(k.c.Migration(ctx, k.int(0))) },
	"Migration.save":                            func(ctx context.Context, k call) error { return k.c.SaveMigration(ctx, As[Migration](k.o)) },
	"MigrationContext.get_by_instance_uuid":     func(ctx context.Context, k call) error { return ignore(k.c.MigrationContext(ctx, k.str(0))) },
	"MigrationList.get_by_filters":              func(ctx context.Context, k call) error { return ignore(k.c.MigrationsByFilters(ctx, k.dict(0))) },
	"MigrationList.get_in_progress_and_error": func(ctx context.Context, k call) error {
		return ignore(k.c.MigrationsInProgressAndError(ctx, k.str(0), k.str(1)))
	},
	"PciDeviceList.get_by_compute_node":  func(ctx context.Context, k call) error { return ignore(k.c.PciDevicesByNode(ctx, k.int(0))) },
	"PciDeviceList.get_by_instance_uuid": func(ctx context.Context, k call) error { return ignore(k.c.PciDevicesByInstance(ctx, k.str(0))) },
	"ResourceList.get_by_instance_uuid":  func(ctx context.Context, k call) error { return ignore(k.c.InstanceResources(ctx, k.str(0))) },
	"Service.create":                     func(ctx context.Context, k call) error { return k.c.CreateService(ctx, As[Service](k.o)) },
	"Service.save":                       func(ctx context.Context, k call) error { return k.c.SaveService(ctx, As[Service](k.o)) },
	"Service.get_by_compute_host":        func(ctx context.Context, k call) error { return ignore(k.c.ServiceByComputeHost(ctx, k.str(0))) },
	"Service.get_by_host_and_binary": func(ctx context.Context, k call) error {
		return ignore(k.c.ServiceByHostAndBinary(ctx, k.str(0), k.str(1)))
	},
	"Service.get_minimum_version":              func(ctx context.Context, k call) error { return ignore(k.c.MinimumServiceVersion(ctx, k.str(0))) },
	"TrustedCerts.get_by_instance_uuid":        func(ctx context.Context, k call) error { return ignore(k.c.InstanceTrustedCerts(ctx, k.str(0))) },
	"VirtCPUModel.get_by_instance_uuid":        func(ctx context.Context, k call) error { return ignore(k.c.InstanceVCPUModel(ctx, k.str(0))) },
	"VirtualInterface.delete_by_instance_uuid": func(ctx context.Context, k call) error { return k.c.DeleteVirtualInterfaces(ctx, k.str(0)) },
	"VirtualInterface.get_by_uuid":             func(ctx context.Context, k call) error { return ignore(k.c.VirtualInterface(ctx, k.str(0))) },
	"VirtualInterface.create": func(ctx context.Context, k call) error {
		mac, port, _ := strings.Cut(k.o.Str("address"), "/")
		return k.c.CreateVirtualInterface(ctx, k.c.NewVirtualInterface(k.o.Str("instance_uuid"), port, mac, k.o.Str("tag")))
	},
	"VirtualInterface.destroy": func(ctx context.Context, k call) error {
		return k.c.DestroyVirtualInterface(ctx, As[VirtualInterface](k.o))
	},
	"VirtualInterfaceList.get_by_instance_uuid": func(ctx context.Context, k call) error { return ignore(k.c.VirtualInterfaces(ctx, k.str(0))) },
}

// expect reads the recorded keyword arguments of Instance.save back.
func (k call) expect() (e Expect) {
	switch v := k.kwarg("expected_task_state").(type) {
	case string:
		e.TaskStates = []TaskState{TaskState(v)}
	case []any:
		for _, s := range v {
			e.TaskStates = append(e.TaskStates, TaskState(text(s)))
		}
	}
	return e
}

func TestConductorCallsAsRecorded(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range recordings(t) {
		m := &r.Message
		if m.Method != "object_action" && m.Method != "object_class_action_versions" {
			continue
		}
		k := call{t: t}
		k.into(m.Args["args"], &k.args)
		k.into(m.Args["kwargs"], &k.kwargs)
		var class, method string
		k.into(m.Args["objname"], &class)
		k.into(m.Args["objmethod"], &method)
		if m.Method == "object_action" {
			o, err := Decode(m.Args["objinst"])
			if err != nil {
				t.Fatal(err)
			}
			k.o, class = o, o.Name()
		}
		normaliseCall(class+"."+method, &k, m.Args)
		replayCall(t, r, class+"."+method, k)
		seen[class+"."+method] = true
	}
	for name := range typedCalls {
		if !seen[name] {
			t.Errorf("%s is in no recording", name)
		}
	}
}
