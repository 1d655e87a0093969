package agent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// TestHungReboot: a guest of this host whose soft reboot has taken too long is rebooted hard.
func TestHungReboot(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.reboot_timeout": "60"})
	uuid := n.unshelved(t, n.bootable(t))
	n.conductor.instance.Set("task_state", string(nova.TaskRebooting))
	n.conductor.instance.ClearChanges()
	elsewhere := n.newInstance("11111111-2222-3333-4444-555555555555")
	elsewhere.Set("host", "there")
	n.conductor.answers["InstanceList.get_hung_in_rebooting"] = n.profile.NewList("InstanceList", elsewhere, n.conductor.instance.Clone())
	n.conductor.forget()
	if err := n.endHungReboots(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	want := []string{"save task_state=reboot_pending_hard if rebooting|reboot_pending|reboot_started", "save task_state=reboot_started_hard if reboot_pending_hard"}
	if got := n.conductor.written(); len(got) != 3 || !slices.Equal(got[:2], want) || !strings.Contains(got[2], "task_state=none") {
		t.Errorf("written: %q", got)
	}
	if g, err := n.hypervisor.Guest(within(t, patience), uuid); err != nil || g.State != hypervisor.Running {
		t.Errorf("guest %+v, %v", g, err)
	}
}

// TestMendedRecords are those that need no guest: a build that takes too long, addresses that Neutron has otherwise, and
// the schedulers' picture of the host.
func TestMendedRecords(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.instance_build_timeout": "60"})
	late, young := n.newInstance("11111111-2222-3333-4444-555555555555"), n.newInstance("22222222-2222-3333-4444-555555555555")
	for _, i := range []*nova.Object{late, young} {
		i.Set("vm_state", string(nova.VMBuilding))
		i.Set("task_state", string(nova.TaskSpawning))
	}
	young.Set("created_at", time.Now())
	both := n.profile.NewList("InstanceList", young, late)
	n.conductor.instance = late
	n.conductor.answers["InstanceList.get_by_filters"], n.conductor.answers["InstanceList.get_by_host"] = both, both

	if err := n.endHungBuilds(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	n.wrote(t, []string{"save vm_state=error task_state=none"})
	if err := n.syncSchedulers(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	told := n.conductor.asked[len(n.conductor.asked)-1]
	if ids, _ := told.args["instance_uuids"].([]string); told.method != "sync_instance_info" || !slices.Equal(ids, []string{young.Str("uuid"), late.Str("uuid")}) {
		t.Errorf("schedulers are told %+v", told)
	}
	late.Obj("info_cache").Set("network_info", `[{"id": "33333333-2222-3333-4444-555555555555", "address": "fa:16:3e:00:00:01"}]`)
	if _, err := n.ask(t, opInjectNetworkInfo, "", nil); err != nil {
		t.Fatal(err)
	}
	if cached := n.conductor.instance.Obj("info_cache").Str("network_info"); cached != "[]" {
		t.Errorf("the info cache has a port that is gone: %s", cached)
	}
}
