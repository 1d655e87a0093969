package nova

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// nodeCalls makes, for each recorded message that a node sends to another
// service than conductor's objects, the call through the typed clients.
var nodeCalls = map[string]func(ctx context.Context, c *Conductor, p *ComputeClient, host string, a *Args) error{
	"update_instance_info": func(ctx context.Context, c *Conductor, _ *ComputeClient, _ string, a *Args) error {
		return c.UpdateInstanceInfo(ctx, a.Instances("instance_info")...)
	},
	"delete_instance_info": func(ctx context.Context, c *Conductor, _ *ComputeClient, _ string, a *Args) error {
		return c.DeleteInstanceInfo(ctx, a.Str("instance_uuid"))
	},
	"sync_instance_info": func(ctx context.Context, c *Conductor, _ *ComputeClient, _ string, a *Args) error {
		return c.SyncInstanceInfo(ctx, a.Strings("instance_uuids"))
	},
	"check_can_live_migrate_source": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return ignore(p.CheckCanLiveMigrateSource(ctx, host, a.Instance("instance"), a.LiveMigrateData("dest_check_data")))
	},
	"pre_live_migration": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return ignore(p.PreLiveMigration(ctx, host, a.Instance("instance"), a.Str("disk"), a.LiveMigrateData("migrate_data")))
	},
	"post_live_migration_at_destination": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return p.PostLiveMigrationAtDestination(ctx, host, a.Instance("instance"), a.Raw("block_migration"))
	},
	"rollback_live_migration_at_destination": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return p.RollbackLiveMigrationAtDestination(ctx, host, a.Instance("instance"),
			RollbackOptions{DestroyDisks: a.Bool("destroy_disks"), MigrateData: a.LiveMigrateData("migrate_data")})
	},
	"check_instance_shared_storage": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return ignore(p.CheckInstanceSharedStorage(ctx, host, a.Dict("data")))
	},
	"resize_instance": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return p.ResizeInstance(ctx, host, resizeFrom(a), a.Flavor("flavor"), a.Shutdown("clean_shutdown"))
	},
	"finish_resize": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return p.FinishResize(ctx, host, resizeFrom(a), a.Str("disk_info"))
	},
	"finish_revert_resize": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return p.FinishRevertResize(ctx, host, resizeFrom(a))
	},
	"confirm_resize": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return p.ConfirmResize(ctx, host, a.Instance("instance"), a.Migration("migration"))
	},
	"stop_instance": func(ctx context.Context, _ *Conductor, p *ComputeClient, host string, a *Args) error {
		return p.StopInstance(ctx, host, a.Instance("instance"), a.Shutdown("clean_shutdown"))
	},
}

func resizeFrom(a *Args) Resize {
	return Resize{
		Instance: a.Instance("instance"), Migration: a.Migration("migration"),
		Image: a.Raw("image"), RequestSpec: a.RequestSpec("request_spec"),
	}
}

func TestMessagesToOtherServicesAsRecorded(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range recordings(t) {
		send, ok := nodeCalls[r.Message.Method]
		if !ok {
			continue
		}
		seen[r.Message.Method] = true
		_, host, _ := strings.Cut(r.Key, ".")
		a := NewArgs(r.Message.Args)
		peer := &answer{result: r.result}
		if err := send(t.Context(), NewConductor(peer, Zed(), a.Str("host_name")), NewComputeClient(peer), host, a); err != nil {
			t.Errorf("%s %s: %v", r.file, r.Message.Method, err)
		}
		if err := a.Err(); err != nil {
			t.Errorf("%s %s: %v", r.file, r.Message.Method, err)
		}
		exchange, key := routingKey(peer.target)
		if exchange != r.Exchange || key != r.Key || peer.target.Version != r.Message.Version || peer.cast != r.cast {
			t.Errorf("%s: sent to %+v, recorded %s %s", r.Message.Method, peer.target, r.Exchange, r.Key)
		}
		if monitored := len(peer.opts) > 0; monitored != (r.Message.Timeout != nil) {
			t.Errorf("%s: monitored: %v", r.Message.Method, monitored)
		}
		sameJSON(t, r.Message.Method, r.Message.Args, peer.args)
	}
	for method := range nodeCalls {
		if !seen[method] {
			t.Errorf("%s is in no recording", method)
		}
	}
}

func TestMigrateServerAsRecorded(t *testing.T) {
	seen := 0
	for _, r := range recordings(t) {
		if r.Message.Method != "migrate_server" {
			continue
		}
		seen++
		a := NewArgs(r.Message.Args)
		peer := &answer{result: json.RawMessage(`null`)}
		err := NewConductor(peer, Zed(), "h").MigrateServer(t.Context(), Move{
			Instance: a.Instance("instance"), Flavor: a.Flavor("flavor"), RequestSpec: a.RequestSpec("request_spec"),
			SchedulerHint: a.Dict("scheduler_hint"), HostList: a.Selections("host_list"), Shutdown: a.Shutdown("clean_shutdown"),
		})
		if err != nil || a.Err() != nil {
			t.Fatal(err, a.Err())
		}
		if peer.target.Namespace != r.Message.Namespace || peer.target.Version != r.Message.Version {
			t.Errorf("sent to %+v", peer.target)
		}
		sameJSON(t, "migrate_server", r.Message.Args, peer.args)
	}
	if seen == 0 {
		t.Error("no recording")
	}
}

func TestBuildInstances(t *testing.T) {
	peer := &answer{}
	args := map[string]any{"host_lists": []any{}, "image": json.RawMessage(`{"id":"x"}`)}
	if err := NewConductor(peer, Zed(), "h").BuildInstances(t.Context(), args); err != nil {
		t.Fatal(err)
	}
	if !peer.cast || peer.method != "build_instances" || peer.target.Namespace != "compute_task" || peer.target.Version != "1.19" {
		t.Errorf("sent %s to %+v", peer.method, peer.target)
	}
	sameJSON(t, "args", args, peer.args)
}

// TestArgumentsOfEveryRecordedRequest reads all that was ever asked of a compute service.
func TestArgumentsOfEveryRecordedRequest(t *testing.T) {
	methods := map[string]bool{}
	for _, r := range recordings(t) {
		if !strings.HasPrefix(r.Key, "compute.") {
			continue
		}
		methods[r.Message.Method] = true
		a := NewArgs(r.Message.Args)
		for name := range r.Message.Args {
			switch name {
			case "instance":
				if inst := a.Instance(name); inst.UUID() == "" || inst.VMState() == "" {
					t.Errorf("%s: instance without uuid or state", r.Message.Method)
				}
			case "instances":
				if list := a.Instances(name); len(list) == 0 || list[0].UUID() == "" {
					t.Errorf("%s: no instances", r.Message.Method)
				}
			case "events":
				if list := a.Events(name); len(list) == 0 || list[0].EventName() == "" || list[0].Status() == "" {
					t.Errorf("%s: no events", r.Message.Method)
				}
			case "block_device_mapping", "bdms":
				if list := a.BlockDevices(name); len(list) == 0 || list[0].DestinationType() != "local" {
					t.Errorf("%s: no disks", r.Message.Method)
				}
			case "requested_networks":
				if list := a.NetworkRequests(name); len(list) == 0 || list[0].NetworkID() == "" {
					t.Errorf("%s: no networks", r.Message.Method)
				}
			case "migration":
				if m := a.Migration(name); m != nil && m.ID() == 0 {
					t.Errorf("%s: migration without id", r.Message.Method)
				}
			case "request_spec":
				if spec := a.RequestSpec(name); spec.InstanceUUID() == "" || spec.Image().DiskFormat() == "" {
					t.Errorf("%s: request spec without instance or image", r.Message.Method)
				}
			case "flavor":
				if a.Flavor(name).VCPUs() == 0 {
					t.Errorf("%s: flavor without CPUs", r.Message.Method)
				}
			case "image", "filter_properties", "limits", "orig_sys_metadata", "data":
				a.Dict(name)
			case "accel_uuids", "security_groups":
				a.Strings(name)
			case "injected_files":
				a.Files(name)
			case "clean_shutdown", "recreate", "preserve_ephemeral":
				a.Bool(name)
			case "migration_id", "tail_length":
				a.Int(name)
			}
		}
		if err := a.Err(); err != nil {
			t.Errorf("%s: %v", r.Message.Method, err)
		}
	}
	if len(methods) < 35 {
		t.Errorf("only %d methods recorded", len(methods))
	}
}

func TestArgsReportEverything(t *testing.T) {
	a := NewArgs(map[string]json.RawMessage{
		"instance": json.RawMessage(`{"nova_object.name":"Flavor","nova_object.version":"1.2","nova_object.data":{}}`),
		"image":    json.RawMessage(`"x"`),
		"count":    json.RawMessage(`"many"`),
		"files":    json.RawMessage(`[["/etc/x","eA=="]]`),
		"nothing":  json.RawMessage(`null`),
		"old":      json.RawMessage(`{"nova_object.name":"Flavor","nova_object.version":"1.2","nova_object.data":{"vcpus":2}}`),
	})
	if a.Has("nothing") || a.Has("missing") || !a.Has("count") {
		t.Error("Has is wrong")
	}
	if f := a.Flavor("new", "old"); f.VCPUs() != 2 {
		t.Error("the second name was not read")
	}
	if diff := gocmp.Diff([][2]string{{"/etc/x", "eA=="}}, a.Files("files")); diff != "" {
		t.Error(diff)
	}
	if a.Err() != nil || a.Str("nothing") != "" || a.Object("nothing") != nil || string(a.Raw("missing")) != "null" {
		t.Errorf("null is not taken as nothing: %v", a.Err())
	}
	if a.Shutdown("clean_shutdown") != ShutdownClean {
		t.Error("no clean shutdown by default")
	}
	if a.Instance("instance") != nil || a.Dict("image") != nil || a.Int("count") != 0 || a.BlockDevice("bdm") != nil {
		t.Error("wrong arguments were read")
	}
	err := a.Err()
	if !Is(err, "TypeError") || FaultMessage(err) != "TypeError" {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"instance", "image", "count", "bdm"} {
		if !strings.Contains(err.Error(), "argument "+name+": ") {
			t.Errorf("%s is not reported in %q", name, err)
		}
	}
}
