package agent

import (
	"context"

	"bolide/rpc/nova"
)

// computeMethods is every method of version 6 of the compute RPC API that a control plane may call. Those for which
// there is no operation (volumes, shares, resizes between cells) are refused.
var computeMethods = []string{
	"add_fixed_ip_to_instance", "attach_interface", "attach_volume", "backup_instance", "build_and_run_instance", "cache_images",
	"check_can_live_migrate_destination", "check_can_live_migrate_source", "check_instance_shared_storage", "confirm_resize",
	"confirm_snapshot_based_resize_at_source", "detach_interface", "detach_volume", "drop_move_claim_at_destination",
	"external_instance_event", "finish_resize", "finish_revert_resize", "finish_revert_snapshot_based_resize_at_source",
	"finish_snapshot_based_resize_at_dest", "get_console_output", "get_diagnostics", "get_host_uptime", "get_instance_diagnostics",
	"get_mks_console", "get_rdp_console", "get_serial_console", "get_spice_console", "get_vnc_console", "host_maintenance_mode",
	"host_power_action", "inject_network_info", "live_migration", "live_migration_abort", "live_migration_force_complete",
	"pause_instance", "post_live_migration_at_destination", "pre_live_migration", "prep_resize",
	"prep_snapshot_based_resize_at_dest", "prep_snapshot_based_resize_at_source", "quiesce_instance", "reboot_instance",
	"rebuild_instance", "remove_fixed_ip_from_instance", "remove_volume_connection", "rescue_instance",
	"reserve_block_device_name", "resize_instance", "restore_instance", "resume_instance", "revert_resize",
	"revert_snapshot_based_resize_at_dest", "rollback_live_migration_at_destination", "set_admin_password", "set_host_enabled",
	"allow_share", "deny_share", "shelve_instance", "shelve_offload_instance", "snapshot_instance", "soft_delete_instance", "start_instance", "stop_instance",
	"suspend_instance", "swap_volume", "terminate_instance", "trigger_crash_dump", "unpause_instance", "unquiesce_instance",
	"unrescue_instance", "unshelve_instance", "validate_console_port", "volume_snapshot_create", "volume_snapshot_delete",
}

// refused makes the operation that refuses one method. A caller is told so at once, in the words in which Nova's API
// answers "not supported by this host"; after a cast the instance is left as it was, with a fault that says why.
func refused(method string) operation {
	return operation{
		method: method, event: "compute_" + method, clearsTask: true, keepsFault: true,
		do: func(context.Context, *task) (any, error) { return nil, refusal(method) },
	}
}

func refusal(method string) error {
	text := method + " is not supported by this compute service"
	if method == "reserve_block_device_name" { // what users attach a volume with; the API knows no other refusal of it
		return nova.NewError("InvalidVolume", map[string]any{"reason": text})
	}
	return nova.NotImplemented(text)
}
