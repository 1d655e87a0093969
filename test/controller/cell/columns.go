package cell

import (
	"encoding/json"
	"strings"

	"bolide/rpc/nova"
)

// columns are the fields of each class's rows. One that is not null at first is
// given as name=JSON.
var columns = map[string]string{
	"Instance": `user_id project_id image_ref kernel_id="" ramdisk_id="" hostname launch_index=0 key_name key_data power_state=0 vm_state
		task_state memory_mb=0 vcpus=0 root_gb=0 ephemeral_gb=0 ephemeral_key_uuid host node instance_type_id user_data reservation_id
		launched_at terminated_at availability_zone display_name display_description launched_on locked=false locked_by os_type architecture
		vm_mode uuid root_device_name default_ephemeral_device default_swap_device config_drive="" access_ip_v4 access_ip_v6
		auto_disk_config=false progress=0 shutdown_terminate=false disable_terminate=false cell_name cleaned=false hidden=false
		metadata={} system_metadata={} flavor old_flavor new_flavor numa_topology pci_requests vcpu_model migration_context keypairs
		device_metadata trusted_certs resources security_groups tags ec2_ids`,
	"InstanceInfoCache": `instance_uuid network_info="[]"`,
	"Service":           `uuid host binary topic report_count=0 disabled=false disabled_reason last_seen_up forced_down=false version=0`,
	"ComputeNode": `uuid service_id host vcpus=0 memory_mb=0 local_gb=0 vcpus_used=0 memory_mb_used=0 local_gb_used=0 hypervisor_type=""
		hypervisor_version=0 hypervisor_hostname free_ram_mb free_disk_gb current_workload running_vms cpu_info disk_available_least metrics
		stats numa_topology host_ip supported_hv_specs pci_device_pools cpu_allocation_ratio=16.0 ram_allocation_ratio=1.5
		disk_allocation_ratio=1.0 mapped=0`,
	"BlockDeviceMapping": `uuid instance_uuid source_type destination_type guest_format device_type disk_bus boot_index device_name
		delete_on_termination=false snapshot_id volume_id volume_size image_id no_device=false connection_info tag attachment_id volume_type
		encrypted=false encryption_secret_uuid encryption_format encryption_options`,
	"VirtualInterface": `address network_id instance_uuid uuid tag`,
	"Migration": `uuid source_compute dest_compute source_node dest_node dest_host old_instance_type_id new_instance_type_id instance_uuid
		status migration_type hidden=false memory_total memory_processed memory_remaining disk_total disk_processed disk_remaining
		cross_cell_move=false user_id project_id`,
	"InstanceFault":       `instance_uuid code=0 message details host`,
	"InstanceAction":      `action instance_uuid request_id user_id project_id start_time finish_time message`,
	"InstanceActionEvent": `event action_id start_time finish_time result traceback host details`,
	"ConsoleAuthToken":    `host port console_type internal_access_path instance_uuid access_url_base token_hash expires`,
	"PciDevice": `uuid compute_node_id address vendor_id product_id dev_type status dev_id label instance_uuid request_id extra_info={}
		numa_node parent_addr`,
	"InstanceGroup": `user_id project_id uuid name policies policy _rules={} members=[] hosts`,
	"TaskLog":       `task_name state host period_beginning period_ending message task_items=0 errors=0`,
	"VolumeUsage": `volume_id project_id user_id instance_uuid availability_zone tot_last_refreshed tot_reads=0 tot_read_bytes=0 tot_writes=0
		tot_write_bytes=0 curr_last_refreshed curr_reads=0 curr_read_bytes=0 curr_writes=0 curr_write_bytes=0`,
	"Flavor": `name memory_mb=0 vcpus=0 root_gb=0 ephemeral_gb=0 flavorid swap=0 rxtx_factor=1.0 vcpu_weight=0 disabled=false is_public=true
		extra_specs={} description`,
	"RequestSpec": `instance_uuid`,
}

// blank is a row of a class with the values it has at first. Its marks are clear.
func (t *Tx) blank(class string) *nova.Object {
	row := t.profile.New(class)
	for _, column := range strings.Fields(columns[class]) {
		name, text, given := strings.Cut(column, "=")
		var value any
		if given && text != "" {
			value = json.RawMessage(text)
		}
		row.Set(name, value)
	}
	row.Set("created_at", t.now)
	row.Set("updated_at", nil)
	row.Set("deleted", false)
	row.Set("deleted_at", nil)
	row.ClearChanges()
	return row
}
