package conductor

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// classMethods are the methods called on a class, by "Class.method".
var classMethods = map[string]func(*call) (any, error){
	"Service.get_minimum_version": func(k *call) (any, error) { return k.tx.MinimumVersion(k.str(0, "binary")) },
	"Service.get_by_host_and_binary": func(k *call) (any, error) {
		return object(k.tx.Service(k.str(0, "host"), k.str(1, "binary")))
	},
	"Service.get_by_compute_host": func(k *call) (any, error) {
		host := k.str(0, "host")
		return found(computeHostNotFound(host))(k.tx.Service(host, "nova-compute"))
	},

	"ComputeNode.get_by_host_and_nodename": func(k *call) (any, error) {
		host, node := k.str(0, "host"), k.str(1, "nodename")
		return found(computeHostNotFound(host))(k.tx.Row("ComputeNode", both("host", host, "hypervisor_hostname", node)))
	},
	"ComputeNode.get_by_nodename": func(k *call) (any, error) {
		node := k.str(0, "hypervisor_hostname")
		return found(computeHostNotFound(node))(k.tx.Row("ComputeNode", is("hypervisor_hostname", node)))
	},
	"ComputeNode.get_by_uuid": func(k *call) (any, error) {
		id := k.str(0, "compute_uuid")
		return found(computeHostNotFound(id))(k.tx.Row("ComputeNode", is("uuid", id)))
	},
	"ComputeNode.get_first_node_by_host_for_old_compat": func(k *call) (any, error) {
		host := k.str(0, "host")
		return found(computeHostNotFound(host))(k.tx.Row("ComputeNode", is("host", host)))
	},
	"ComputeNodeList.get_all_by_host": func(k *call) (any, error) {
		host := k.str(0, "host")
		rows, err := k.tx.Rows("ComputeNode", is("host", host))
		if err == nil && len(rows) == 0 {
			err = computeHostNotFound(host)
		}
		return list(k, "ComputeNodeList", rows, err)
	},
	"ComputeNodeList.get_all_by_uuids": func(k *call) (any, error) {
		ids := k.strings(0, "compute_uuids")
		rows, err := k.tx.Rows("ComputeNode", func(n *nova.Object) bool { return slices.Contains(ids, n.Str("uuid")) })
		return list(k, "ComputeNodeList", rows, err)
	},

	"Instance.get_by_uuid": func(k *call) (any, error) {
		parts := k.strings(1, "expected_attrs")
		if k.arg(1, "expected_attrs") == nil {
			parts = []string{"info_cache", "security_groups"}
		}
		return k.tx.Instance(k.str(0, "uuid"), parts...)
	},
	"InstanceList.get_by_host": func(k *call) (any, error) {
		return instances(k, is("host", k.str(0, "host")), k.strings(1, "expected_attrs"))
	},
	"InstanceList.get_by_host_and_node": func(k *call) (any, error) {
		return instances(k, both("host", k.str(0, "host"), "node", k.str(1, "node")), k.strings(2, "expected_attrs"))
	},
	"InstanceList.get_by_filters":               instancesByFilters,
	"InstanceList.get_hung_in_rebooting":        instancesHungInReboot,
	"InstanceList._get_active_by_window_joined": instancesActive,
	"InstanceList.get_uuids_by_host": func(k *call) (any, error) {
		return uuids(k.tx.Rows("Instance", is("host", k.str(0, "host"))))
	},
	"InstanceList.get_uuids_by_host_and_node": func(k *call) (any, error) {
		return uuids(k.tx.Rows("Instance", both("host", k.str(0, "host"), "node", k.str(1, "node"))))
	},

	"InstanceInfoCache.get_by_instance_uuid": func(k *call) (any, error) { return k.tx.InfoCache(k.str(0, "instance_uuid")) },
	"VirtualInterface.get_by_uuid": func(k *call) (any, error) {
		row, err := k.tx.Row("VirtualInterface", is("uuid", k.str(0, "uuid")))
		return object(interfaceView(row), err)
	},
	"VirtualInterface.delete_by_instance_uuid": func(k *call) (any, error) {
		rows, err := k.tx.Rows("VirtualInterface", is("instance_uuid", k.str(0, "instance_uuid")))
		return nil, destroyAll(k, rows, err)
	},
	"VirtualInterfaceList.get_by_instance_uuid": func(k *call) (any, error) {
		rows, err := k.tx.Rows("VirtualInterface", is("instance_uuid", k.str(0, "instance_uuid")))
		for i := range rows {
			rows[i] = interfaceView(rows[i])
		}
		return list(k, "VirtualInterfaceList", rows, err)
	},

	"BlockDeviceMappingList.get_by_instance_uuid": func(k *call) (any, error) {
		rows, err := k.tx.Rows("BlockDeviceMapping", is("instance_uuid", k.str(0, "instance_uuid")))
		return list(k, "BlockDeviceMappingList", rows, err)
	},
	"BlockDeviceMappingList.get_by_instance_uuids": func(k *call) (any, error) {
		ids := k.strings(0, "instance_uuids")
		rows, err := k.tx.Rows("BlockDeviceMapping", func(b *nova.Object) bool { return slices.Contains(ids, b.Str("instance_uuid")) })
		return list(k, "BlockDeviceMappingList", rows, err)
	},
	"BlockDeviceMapping.get_by_volume_and_instance": func(k *call) (any, error) {
		volume := k.str(0, "volume_id")
		missing := nova.NewError("VolumeBDMNotFound", map[string]any{"volume_id": volume})
		return found(missing)(k.tx.Row("BlockDeviceMapping", both("volume_id", volume, "instance_uuid", k.str(1, "instance_uuid"))))
	},

	"Migration.get_by_id": func(k *call) (any, error) {
		id := k.int(0, "migration_id")
		missing := nova.NewError("MigrationNotFound", map[string]any{"migration_id": id})
		return found(missing)(k.tx.Row("Migration", func(m *nova.Object) bool { return m.Int("id") == id }))
	},
	"Migration.get_by_id_and_instance": func(k *call) (any, error) {
		id, instance := k.int(0, "migration_id"), k.str(1, "instance_uuid")
		missing := nova.NewError("MigrationNotFoundForInstance", map[string]any{"migration_id": id, "instance_id": instance})
		return found(missing)(k.tx.Row("Migration", func(m *nova.Object) bool {
			return m.Int("id") == id && m.Str("instance_uuid") == instance
		}))
	},
	"Migration.get_by_instance_and_status": func(k *call) (any, error) {
		instance, status := k.str(0, "instance_uuid"), k.str(1, "status")
		missing := nova.NewError("MigrationNotFoundByStatus", map[string]any{"instance_id": instance, "status": status})
		return found(missing)(k.tx.Row("Migration", both("instance_uuid", instance, "status", status)))
	},
	"MigrationList.get_in_progress_by_host_and_node": func(k *call) (any, error) {
		return migrationsOf(k, append(slices.Clone(settled), "error"))
	},
	"MigrationList.get_in_progress_and_error":       func(k *call) (any, error) { return migrationsOf(k, settled) },
	"MigrationList.get_by_filters":                  migrationsByFilters,
	"MigrationList.get_unconfirmed_by_dest_compute": migrationsUnconfirmed,
	"MigrationContext.get_by_instance_uuid": func(k *call) (any, error) {
		instance := k.str(0, "instance_uuid")
		missing := nova.NewError("MigrationContextNotFound", map[string]any{"instance_uuid": instance})
		return found(missing)(part(k, "migration_context"))
	},

	"PciDeviceList.get_by_compute_node": func(k *call) (any, error) {
		id := k.int(0, "node_id")
		rows, err := k.tx.Rows("PciDevice", func(d *nova.Object) bool { return d.Int("compute_node_id") == id })
		return list(k, "PciDeviceList", rows, err)
	},
	"PciDeviceList.get_by_instance_uuid": func(k *call) (any, error) {
		rows, err := k.tx.Rows("PciDevice", is("instance_uuid", k.str(0, "uuid")))
		return list(k, "PciDeviceList", rows, err)
	},
	"InstancePCIRequests.get_by_instance_uuid":    func(k *call) (any, error) { return object(part(k, "pci_requests")) },
	"InstanceNUMATopology.get_by_instance_uuid":   func(k *call) (any, error) { return object(part(k, "numa_topology")) },
	"ResourceList.get_by_instance_uuid":           func(k *call) (any, error) { return object(part(k, "resources")) },
	"TrustedCerts.get_by_instance_uuid":           func(k *call) (any, error) { return object(part(k, "trusted_certs")) },
	"VirtCPUModel.get_by_instance_uuid":           func(k *call) (any, error) { return object(part(k, "vcpu_model")) },
	"InstanceDeviceMetadata.get_by_instance_uuid": func(k *call) (any, error) { return object(part(k, "device_metadata")) },
	"TagList.get_by_resource_id":                  func(k *call) (any, error) { return object(part(k, "tags")) },
	"EC2Ids.get_by_instance": func(k *call) (any, error) {
		instance, _ := k.arg(0, "instance").(*nova.Object)
		return object(k.tx.EC2IDs(instance.Str("uuid")))
	},

	"InstanceAction.action_start": func(k *call) (any, error) {
		return wanted(k, 2, true)(k.tx.StartAction(k.str(0, "instance_uuid"), k.str(1, "action_name")))
	},
	"InstanceActionEvent.event_start": func(k *call) (any, error) {
		return wanted(k, 2, true)(k.tx.StartEvent(k.str(0, "instance_uuid"), k.str(1, "event_name"), k.str(3, "host")))
	},
	"InstanceActionEvent.event_finish_with_failure": func(k *call) (any, error) {
		f := cell.Finish{Message: k.str(2, "exc_val"), Trace: k.str(3, "exc_tb"), Failed: k.arg(3, "exc_tb") != nil}
		return wanted(k, 4, false)(k.tx.FinishEvent(k.str(0, "instance_uuid"), k.str(1, "event_name"), f))
	},
	"InstanceFault.get_latest_for_instance": func(k *call) (any, error) { return object(k.tx.LatestFault(k.str(0, "instance_uuid"))) },

	"ConsoleAuthToken.clean_console_auths_for_instance": func(k *call) (any, error) {
		rows, err := k.tx.Rows("ConsoleAuthToken", is("instance_uuid", k.str(0, "instance_uuid")))
		return nil, destroyAll(k, rows, err)
	},
	"ConsoleAuthToken.clean_expired_console_auths_for_host": func(k *call) (any, error) {
		host, now := k.str(0, "host"), k.tx.Now().Unix()
		rows, err := k.tx.Rows("ConsoleAuthToken", func(t *nova.Object) bool { return t.Str("host") == host && t.Int("expires") <= now })
		return nil, destroyAll(k, rows, err)
	},

	"InstanceGroup.get_by_instance_uuid": func(k *call) (any, error) {
		instance := k.str(0, "instance_uuid")
		missing := nova.NewError("InstanceGroupNotFound", map[string]any{"group_uuid": ""})
		return found(missing)(k.tx.Row("InstanceGroup", func(g *nova.Object) bool { return slices.Contains(g.Strings("members"), instance) }))
	},
	"InstanceGroup.get_by_uuid": func(k *call) (any, error) {
		id := k.str(0, "uuid")
		return found(nova.NewError("InstanceGroupNotFound", map[string]any{"group_uuid": id}))(k.tx.Row("InstanceGroup", is("uuid", id)))
	},
	"InstanceGroup.get_by_name": func(k *call) (any, error) {
		name := k.str(0, "name")
		return found(nova.NewError("InstanceGroupNotFound", map[string]any{"group_uuid": name}))(k.tx.Row("InstanceGroup", is("name", name)))
	},

	"TaskLog.get": func(k *call) (any, error) {
		name, host := k.str(0, "task_name"), k.str(3, "host")
		begin, end := wireTime(k.str(1, "period_beginning")), wireTime(k.str(2, "period_ending"))
		return object(k.tx.Row("TaskLog", func(t *nova.Object) bool {
			return t.Str("task_name") == name && t.Str("host") == host && t.Time("period_beginning").Equal(begin) && t.Time("period_ending").Equal(end)
		}))
	},
}

// is matches rows by one field, both by two.
func is(field, value string) func(*nova.Object) bool {
	return func(o *nova.Object) bool { return o.Str(field) == value }
}

func both(f1, v1, f2, v2 string) func(*nova.Object) bool {
	return func(o *nova.Object) bool { return o.Str(f1) == v1 && o.Str(f2) == v2 }
}

// object is a row as a result: null when there is none.
func object(row *nova.Object, err error) (any, error) {
	if err != nil || row == nil {
		return nil, err
	}
	row.ClearChanges()
	return row, nil
}

// found is object for a row that must be there.
func found(missing error) func(*nova.Object, error) (any, error) {
	return func(row *nova.Object, err error) (any, error) {
		if err == nil && row == nil {
			err = missing
		}
		return object(row, err)
	}
}

// wanted is object for a method that answers only when its caller wants it to.
func wanted(k *call, i int, otherwise bool) func(*nova.Object, error) (any, error) {
	return func(row *nova.Object, err error) (any, error) {
		want, given := k.arg(i, "want_result").(bool)
		if !given {
			want = otherwise
		}
		if err != nil || !want {
			return nil, err
		}
		return object(row, nil)
	}
}

func list(k *call, class string, rows []*nova.Object, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return k.tx.List(class, rows), nil
}

// part of the instance that the first argument names.
func part(k *call, field string) (*nova.Object, error) {
	o, err := k.tx.Instance(k.str(0, "instance_uuid"), field)
	if err != nil {
		return nil, err
	}
	return o.Obj(field), nil
}

func instances(k *call, match func(*nova.Object) bool, parts []string) (any, error) {
	rows, err := k.tx.Instances(match, parts...)
	return list(k, "InstanceList", rows, err)
}

func uuids(rows []*nova.Object, err error) (any, error) {
	ids := []string{}
	for _, row := range rows {
		ids = append(ids, row.Str("uuid"))
	}
	return ids, err
}

func destroyAll(k *call, rows []*nova.Object, err error) error {
	for _, row := range rows {
		if err == nil {
			err = k.tx.Destroy(row, nil)
		}
	}
	return err
}

// interfaceView is the row of a VIF with its plain address; in the row the port
// is added to it, since addresses must be unique there.
func interfaceView(row *nova.Object) *nova.Object {
	if row != nil {
		mac, _, _ := strings.Cut(row.Str("address"), "/")
		row.Set("address", mac)
		if row.IsNull("network_id") {
			row.Unset("network_id")
		}
		row.ClearChanges()
	}
	return row
}

func computeHostNotFound(host string) error {
	return nova.NewError("ComputeHostNotFound", map[string]any{"host": host})
}

// wireTime reads a time in an argument, which has a fraction and no zone.
func wireTime(s string) time.Time {
	t, _ := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(strings.SplitN(s, ".", 2)[0], "Z"))
	return t
}

// holds says whether a row's field has the value of a filter, or one of its
// values.
func holds(o *nova.Object, field string, filter any) bool {
	switch f := filter.(type) {
	case []any:
		return slices.ContainsFunc(f, func(v any) bool { return holds(o, field, v) })
	case nil:
		return o.IsNull(field)
	case bool:
		return o.Bool(field) == f
	case json.Number:
		return o.Str(field) == f.String()
	case string:
		return o.Str(field) == f
	}
	return false
}
