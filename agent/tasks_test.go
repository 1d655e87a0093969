package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/config"
)

// tasksWith are the periodic tasks that come at all, with the time between two runs.
func tasksWith(t *testing.T, options map[string]string) map[string]time.Duration {
	t.Helper()
	overrides := map[string]string{"DEFAULT.transport_url": "rabbit://guest:guest@127.0.0.1:1/", "libvirt.virt_type": "qemu", "DEFAULT.state_path": t.TempDir()}
	for _, section := range []string{"placement", "neutron"} {
		overrides[section+".auth_type"], overrides[section+".auth_url"] = "password", "http://127.0.0.1:1/v3"
		overrides[section+".username"], overrides[section+".password"] = "node", "secret"
	}
	for name, value := range options {
		overrides[name] = value
	}
	cfg, _, err := config.Load(config.Options{SearchDirs: []string{}, Overrides: overrides, Hostname: "here", MyIP: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]time.Duration{}
	for _, task := range a.periodicTasks() {
		if task.Interval > 0 {
			out[task.Name] = task.Interval
		}
	}
	return out
}

// TestPeriodicTasksByDefault is the list of the tasks that run where nova.conf says nothing.
func TestPeriodicTasksByDefault(t *testing.T) {
	want := map[string]time.Duration{
		"update_available_resource": time.Minute, "_sync_power_states": 10 * time.Minute, "_heal_instance_info_cache": time.Minute,
		"_sync_scheduler_instance_info": 2 * time.Minute, "_run_pending_deletes": 5 * time.Minute, "_cleanup_incomplete_migrations": 5 * time.Minute,
		"_cleanup_expired_console_auth_tokens": 5 * time.Minute, "_run_image_cache_manager_pass": 40 * time.Minute,
		"_cleanup_running_deleted_instances": 30 * time.Minute,
	}
	if diff := cmp.Diff(want, tasksWith(t, nil)); diff != "" {
		t.Error(diff)
	}
}

// TestPeriodicTasksFollowTheirOptions looks what each option makes of its task.
func TestPeriodicTasksFollowTheirOptions(t *testing.T) {
	const never = 0
	for _, c := range []struct {
		option, value, task string
		want                time.Duration
	}{
		{"DEFAULT.update_resources_interval", "0", "update_available_resource", time.Minute},
		{"DEFAULT.update_resources_interval", "90", "update_available_resource", 90 * time.Second},
		{"DEFAULT.update_resources_interval", "-1", "update_available_resource", never},
		{"DEFAULT.sync_power_state_interval", "0", "_sync_power_states", time.Minute},
		{"DEFAULT.sync_power_state_interval", "-1", "_sync_power_states", never},
		{"DEFAULT.heal_instance_info_cache_interval", "120", "_heal_instance_info_cache", 2 * time.Minute},
		{"DEFAULT.heal_instance_info_cache_interval", "0", "_heal_instance_info_cache", never},
		{"DEFAULT.heal_instance_info_cache_interval", "-1", "_heal_instance_info_cache", never},
		{"DEFAULT.scheduler_instance_sync_interval", "-1", "_sync_scheduler_instance_info", never},
		{"filter_scheduler.track_instance_changes", "false", "_sync_scheduler_instance_info", never},
		{"DEFAULT.instance_delete_interval", "30", "_run_pending_deletes", 30 * time.Second},
		{"DEFAULT.instance_delete_interval", "0", "_cleanup_incomplete_migrations", time.Minute},
		{"DEFAULT.instance_delete_interval", "-1", "_cleanup_expired_console_auth_tokens", never},
		{"DEFAULT.running_deleted_instance_poll_interval", "60", "_cleanup_running_deleted_instances", time.Minute},
		{"DEFAULT.running_deleted_instance_action", "noop", "_cleanup_running_deleted_instances", never},
		{"image_cache.manager_interval", "0", "_run_image_cache_manager_pass", time.Minute},
		{"image_cache.manager_interval", "-1", "_run_image_cache_manager_pass", never},
		{"DEFAULT.reclaim_instance_interval", "3600", "_reclaim_queued_deletes", time.Minute},
		{"DEFAULT.reclaim_instance_interval", "0", "_reclaim_queued_deletes", never},
		{"DEFAULT.shelved_offload_time", "60", "_poll_shelved_instances", time.Hour},
		{"DEFAULT.shelved_offload_time", "-1", "_poll_shelved_instances", never},
		{"DEFAULT.rescue_timeout", "60", "_poll_rescued_instances", time.Minute},
		{"DEFAULT.rescue_timeout", "0", "_poll_rescued_instances", never},
		{"DEFAULT.resize_confirm_window", "60", "_poll_unconfirmed_resizes", time.Minute},
		{"DEFAULT.resize_confirm_window", "0", "_poll_unconfirmed_resizes", never},
		{"DEFAULT.reboot_timeout", "60", "_poll_rebooting_instances", time.Minute},
		{"DEFAULT.reboot_timeout", "0", "_poll_rebooting_instances", never},
		{"DEFAULT.instance_build_timeout", "60", "_check_instance_build_time", time.Minute},
		{"DEFAULT.instance_build_timeout", "0", "_check_instance_build_time", never},
		{"DEFAULT.instance_usage_audit", "true", "_instance_usage_audit", never}, // nobody listens
	} {
		if got := tasksWith(t, map[string]string{c.option: c.value})[c.task]; got != c.want {
			t.Errorf("with %s = %s %s comes every %s, want %s", c.option, c.value, c.task, got, c.want)
		}
	}
	audited := tasksWith(t, map[string]string{"DEFAULT.instance_usage_audit": "true", "oslo_messaging_notifications.driver": "log"})
	if audited["_instance_usage_audit"] != time.Minute {
		t.Error("usage is not audited")
	}
}
