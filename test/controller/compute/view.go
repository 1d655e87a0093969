package compute

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/web"
)

// shown are the parts of an instance that its view needs.
var shown = []string{"metadata", "system_metadata", "info_cache", "flavor", "fault", "tags"}

// Parts that most requests to nodes carry.
var (
	basics     = []string{"metadata", "system_metadata", "info_cache", "security_groups"}
	withFlavor = append([]string{"flavor"}, basics...)
	withNUMA   = append([]string{"numa_topology"}, withFlavor...)
)

// statuses are what the API calls an instance in a state, without or with a
// task; a task not named shows nothing.
var statuses = map[nova.VMState]struct {
	plain string
	tasks map[nova.TaskState]string
}{
	nova.VMActive: {"ACTIVE", map[nova.TaskState]string{
		nova.TaskRebooting: "REBOOT", nova.TaskRebootPending: "REBOOT", nova.TaskRebootStarted: "REBOOT",
		nova.TaskRebootingHard: "HARD_REBOOT", nova.TaskRebootPendingHard: "HARD_REBOOT", nova.TaskRebootStartedHard: "HARD_REBOOT",
		nova.TaskUpdatingPassword: "PASSWORD", nova.TaskMigrating: "MIGRATING",
		nova.TaskRebuilding: "REBUILD", nova.TaskRebuildBlockDeviceMapping: "REBUILD", nova.TaskRebuildSpawning: "REBUILD",
		nova.TaskResizePrep: "RESIZE", nova.TaskResizeMigrating: "RESIZE", nova.TaskResizeMigrated: "RESIZE", nova.TaskResizeFinish: "RESIZE",
	}},
	nova.VMStopped: {"SHUTOFF", map[nova.TaskState]string{
		nova.TaskRebuilding: "REBUILD", nova.TaskRebuildBlockDeviceMapping: "REBUILD", nova.TaskRebuildSpawning: "REBUILD",
		nova.TaskResizePrep: "RESIZE", nova.TaskResizeMigrating: "RESIZE", nova.TaskResizeMigrated: "RESIZE", nova.TaskResizeFinish: "RESIZE",
	}},
	nova.VMResized:          {"VERIFY_RESIZE", map[nova.TaskState]string{nova.TaskResizeReverting: "REVERT_RESIZE"}},
	nova.VMPaused:           {"PAUSED", map[nova.TaskState]string{nova.TaskMigrating: "MIGRATING"}},
	nova.VMError:            {"ERROR", map[nova.TaskState]string{nova.TaskRebuilding: "REBUILD", nova.TaskRebuildSpawning: "REBUILD"}},
	nova.VMBuilding:         {"BUILD", nil},
	nova.VMSuspended:        {"SUSPENDED", nil},
	nova.VMRescued:          {"RESCUE", nil},
	nova.VMDeleted:          {"DELETED", nil},
	nova.VMSoftDeleted:      {"SOFT_DELETED", nil},
	nova.VMShelved:          {"SHELVED", nil},
	nova.VMShelvedOffloaded: {"SHELVED_OFFLOADED", nil},
}

func status(inst *nova.Instance) string {
	s, ok := statuses[inst.VMState()]
	if !ok {
		return "UNKNOWN"
	}
	if busy := s.tasks[inst.TaskState()]; busy != "" {
		return busy
	}
	return s.plain
}

// serverView is an instance as microversion 2.93 shows it.
func (s *Service) serverView(inst *nova.Instance) (map[string]any, error) {
	addresses, err := s.network.Addresses(inst.UUID())
	if err != nil {
		return nil, err
	}
	f := inst.Flavor()
	v := map[string]any{
		"id": inst.UUID(), "name": inst.DisplayName(), "status": status(inst), "tenant_id": inst.ProjectID(), "user_id": inst.UserID(),
		"metadata": orEmpty(inst.Metadata()), "hostId": hostID(inst), "image": map[string]any{"id": inst.ImageRef()},
		"flavor": map[string]any{
			"original_name": f.Str("name"), "ram": f.Int("memory_mb"), "vcpus": f.Int("vcpus"), "disk": f.Int("root_gb"),
			"ephemeral": f.Int("ephemeral_gb"), "swap": f.Int("swap"), "extra_specs": f.Raw("extra_specs"),
		},
		"created": stamp(inst.CreatedAt()), "updated": stamp(inst.UpdatedAt()), "addresses": addresses,
		"accessIPv4": "", "accessIPv6": "", "links": []any{}, "config_drive": inst.Str("config_drive"), "key_name": inst.Raw("key_name"),
		"locked": inst.Locked(), "locked_reason": nil, "description": inst.Raw("display_description"), "tags": []any{},
		"trusted_image_certificates": nil, "server_groups": []any{}, "progress": inst.Progress(),
		"os-extended-volumes:volumes_attached": []any{}, "OS-DCF:diskConfig": "MANUAL", "OS-EXT-AZ:availability_zone": inst.AvailabilityZone(),
		"OS-EXT-STS:vm_state": inst.Raw("vm_state"), "OS-EXT-STS:task_state": inst.Raw("task_state"), "OS-EXT-STS:power_state": inst.Int("power_state"),
		"OS-EXT-SRV-ATTR:host": inst.Raw("host"), "OS-EXT-SRV-ATTR:hypervisor_hostname": inst.Raw("node"),
		"OS-EXT-SRV-ATTR:instance_name": inst.Name("instance-%08x"), "OS-EXT-SRV-ATTR:hostname": inst.Hostname(),
		"OS-EXT-SRV-ATTR:reservation_id": inst.ReservationID(), "OS-EXT-SRV-ATTR:root_device_name": inst.Raw("root_device_name"),
		"OS-EXT-SRV-ATTR:kernel_id": "", "OS-EXT-SRV-ATTR:ramdisk_id": "", "OS-EXT-SRV-ATTR:launch_index": 0, "OS-EXT-SRV-ATTR:user_data": inst.Raw("user_data"),
		"OS-SRV-USG:launched_at": inst.Raw("launched_at"), "OS-SRV-USG:terminated_at": inst.Raw("terminated_at"),
	}
	if fault := inst.Obj("fault"); fault.Exists() && (inst.VMState() == nova.VMError || inst.VMState() == nova.VMDeleted) {
		v["fault"] = map[string]any{
			"code": fault.Int("code"), "message": fault.Str("message"), "details": fault.Str("details"), "created": stamp(fault.Time("created_at")),
		}
	}
	return v, nil
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// hostID is the host's name as users may see it: the same for all of a project's
// instances there, and good for nothing else.
func hostID(inst *nova.Instance) string {
	if inst.Host() == "" {
		return ""
	}
	sum := sha256.Sum224([]byte(inst.ProjectID() + inst.Host()))
	return hex.EncodeToString(sum[:])
}

// find reads an instance with parts; a 404 for one that is not there.
func (s *Service) find(c *web.Call, parts ...string) (*nova.Instance, error) {
	var inst *nova.Instance
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) error {
		o, err := tx.Instance(c.PathValue("id"), parts...)
		inst = nova.As[nova.Instance](o)
		return err
	})
	if nova.Is(err, "InstanceNotFound") {
		err = web.Refuse(http.StatusNotFound, "", "Instance %s could not be found.", c.PathValue("id"))
	}
	return inst, err
}

func (s *Service) showServer(c *web.Call) error {
	inst, err := s.find(c, shown...)
	if err != nil {
		return err
	}
	v, err := s.serverView(inst)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"server": v})
}

func (s *Service) listServers(c *web.Call) error {
	var found []*nova.Object
	name := c.URL.Query().Get("name")
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) (err error) {
		found, err = tx.Instances(func(o *nova.Object) bool { return name == "" || strings.Contains(o.Str("display_name"), name) }, shown...)
		return err
	})
	if err != nil {
		return err
	}
	list := []any{}
	for _, inst := range nova.AsList[nova.Instance](found) {
		v, err := s.serverView(inst)
		if err != nil {
			return err
		}
		list = append(list, v)
	}
	return c.JSON(http.StatusOK, map[string]any{"servers": list})
}
