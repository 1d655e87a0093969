package ops

import (
	"slices"
	"time"
)

// All returns every operation in the order in which a full run takes them.
func All() []Op {
	return slices.Concat(Basic(), further(), moves(), movesWithNova())
}

// Basic returns the operations that every control plane in this project can ask
// of a node.
func Basic() []Op {
	return []Op{
		{Name: "build", run: (*Session).build},
		{Name: "guest_sees_flavor_disk", run: (*Session).guestSeesFlavorDisk},
		{Name: "guest_has_network", run: (*Session).guestHasNetwork},
		{Name: "guest_reads_config_drive", run: (*Session).guestReadsConfigDrive},
		{Name: "boot_log_is_short", run: (*Session).bootLogIsShort, only: "bolide"},
		{Name: "console_log_tail", run: (*Session).consoleLogTail},
		{Name: "vnc_console", run: (*Session).vncConsole},
		{Name: "diagnostics", run: (*Session).diagnostics},

		{Name: "pause", run: (*Session).pause},
		{Name: "unpause", run: (*Session).unpause},
		{Name: "suspend", run: (*Session).suspend},
		{Name: "resume", run: (*Session).resume},
		{Name: "reboot_soft", run: (*Session).rebootSoft},
		{Name: "reboot_hard", run: (*Session).rebootHard},
		{Name: "stop", run: (*Session).stop},
		{Name: "start", run: (*Session).start},
		{Name: "guest_sees_disk_after_restart", run: (*Session).guestSeesFlavorDisk},

		{Name: "snapshot", run: (*Session).snapshot},
		{Name: "boot_from_snapshot", run: (*Session).bootFromSnapshot},
		{Name: "rescue", run: (*Session).rescue},
		{Name: "unrescue", run: (*Session).unrescue},

		{Name: "attach_interface", run: (*Session).attachInterface},
		{Name: "detach_interface", run: (*Session).detachInterface},

		{Name: "resize", run: (*Session).resize},
		{Name: "confirm_resize", run: (*Session).confirmResize},
		{Name: "resize_back_and_revert", run: (*Session).resizeBackAndRevert},
		{Name: "rebuild", run: (*Session).rebuild},
		{Name: "set_admin_password", run: (*Session).setAdminPassword},
		{Name: "guest_agent", run: (*Session).guestAgent},
		{Name: "shelve", run: (*Session).shelve},
		{Name: "unshelve", run: (*Session).unshelve},
		{Name: "lock_unlock", run: (*Session).lockUnlock},
		{Name: "actions_recorded", run: (*Session).actionsRecorded},

		{Name: "delete", run: (*Session).delete},
		{Name: "delete_leaves_nothing", run: (*Session).deleteLeavesNothing},
		{Name: "build_two_nics", run: (*Session).buildTwoNICs},
		{Name: "two_guests_talk", run: (*Session).twoGuestsTalk},
		{Name: "build_swap_ephemeral", run: (*Session).buildSwapEphemeral},
		{Name: "build_parallel_5", run: (*Session).buildParallel},
		{Name: "delete_while_building", run: (*Session).deleteWhileBuilding},
		{Name: "image_larger_than_flavor_is_refused", run: (*Session).imageLargerThanFlavor},
		{Name: "hypervisor_details", run: (*Session).hypervisorDetails},
	}
}

// further are the operations that ask more of the control plane: a real OpenStack.
func further() []Op {
	return []Op{
		{Name: "soft_delete_and_restore", run: (*Session).softDelete}, // soft_deleted_goes looks at what this leaves

		// On one guest.
		{Name: "diagnostics_in_full", run: (*Session).diagnosticsInFull},
		{Name: "consoles_are_refused", run: (*Session).consolesAreRefused},
		{Name: "stop_guest_that_ignores_the_button", run: (*Session).stopDeaf},
		{Name: "reboot_hard_from_every_state", run: (*Session).rebootFromEveryState},
		{Name: "reboot_hard_after_undefine", run: (*Session).rebootUndefined},
		{Name: "rescue_stopped", run: (*Session).rescueStopped},
		{Name: "add_and_remove_fixed_ip", run: (*Session).fixedIP},
		{Name: "backup_rotation", run: (*Session).backupRotation},
		{Name: "snapshot_stopped", run: (*Session).snapshotStopped},
		{Name: "rebuild_stopped", run: (*Session).rebuildStopped},
		{Name: "resize_stopped_with_same_disk", run: (*Session).resizeStopped},
		{Name: "shelve_stopped", run: (*Session).shelveStopped},
		{Name: "every_action_ended", run: (*Session).everyActionEnded},
		{Name: "moves_without_a_second_host", run: (*Session).movesAreRefused},
		{Name: "two_operations_at_once", run: (*Session).twoAtOnce},
		{Name: "spare_leaves_nothing", run: (*Session).spareLeavesNothing},

		// On guests of their own.
		{Name: "edit_record", run: (*Session).editRecord},
		{Name: "crash_dump", run: (*Session).crashDump},
		{Name: "config_drive_off", run: (*Session).configDriveOff},
		{Name: "rebuild_with_all_anew", run: (*Session).rebuildAnew},
		{Name: "reboot_hard_after_lost_base", run: (*Session).rebootLostBase},
		{Name: "reboot_hard_after_lost_base_and_image", run: (*Session).rebootLostImage},
		{Name: "boot_image_formats", run: (*Session).bootImageFormats},
		{Name: "boot_iso", run: (*Session).bootISO},
		{Name: "unsafe_image_is_refused", run: (*Session).unsafeImage},
		{Name: "cache_images", run: (*Session).cacheImages},
		{Name: "build_with_own_port", run: (*Session).buildWithPort},
		{Name: "attach_by_port_and_address", run: (*Session).attachByPortAndAddress},
		{Name: "attach_and_detach_while_stopped", run: (*Session).attachWhileStopped},
		{Name: "port_deleted_in_neutron", run: (*Session).portDeletedInNeutron},
		{Name: "anti_affinity_is_refused", run: (*Session).antiAffinity},
		{Name: "disable_and_enable_host", run: (*Session).disableHost},
		{Name: "host_uptime", run: (*Session).hostUptime},
		{Name: "burst_of_20", run: (*Session).burst, limit: 15 * time.Minute},
		{Name: "delete_in_every_state", run: (*Session).deleteInEveryState, limit: 10 * time.Minute},
		{Name: "soft_deleted_goes", run: (*Session).softDeletedGoes},
	}
}

// moves are the operations between two further hosts, which come up for them and go
// afterwards.
func moves() []Op {
	return []Op{
		{Name: "two_hosts_come_up", run: (*Session).hostsComeUp, limit: movesTimeout},
		{Name: "live_migrate_there_and_back", run: (*Session).liveThereAndBack, limit: movesTimeout},
		{Name: "live_migrate_aborted", run: (*Session).liveAborted, limit: movesTimeout},
		{Name: "live_migrate_where_scheduler_says", run: (*Session).liveScheduled, limit: movesTimeout},
		{Name: "cold_migrate_and_confirm", run: (*Session).coldConfirmed, limit: movesTimeout},
		{Name: "cold_migrate_and_revert", run: (*Session).coldReverted, limit: movesTimeout},
		{Name: "cold_migrate_stopped", run: (*Session).coldStopped, limit: movesTimeout},
		{Name: "resize_to_other_host", run: (*Session).resizeElsewhere, limit: movesTimeout},
		{Name: "unshelve_elsewhere", run: (*Session).unshelveElsewhere, limit: movesTimeout},
		{Name: "evacuate_from_dead_host", run: (*Session).evacuated, limit: movesTimeout},
	}
}

// movesWithNova are moves between the node under test and Nova's own, both ways.
func movesWithNova() []Op {
	return []Op{
		{Name: "live_migrate_with_nova", run: besideNova((*Session).liveBothWays), limit: movesTimeout, only: "bolide"},
		{Name: "cold_migrate_with_nova", run: besideNova((*Session).coldConfirmed), limit: movesTimeout, only: "bolide"},
		{Name: "cold_migrate_and_revert_with_nova", run: besideNova((*Session).coldReverted), limit: movesTimeout, only: "bolide"},
		{Name: "unshelve_with_nova", run: besideNova((*Session).unshelveElsewhere), limit: movesTimeout, only: "bolide"},
		{Name: "evacuate_to_nova", run: besideNova((*Session).evacuated), limit: movesTimeout, only: "bolide"},
	}
}
