package ops

import "slices"

// All returns every operation in the order in which a full run takes them.
func All() []Op {
	return slices.Concat(Basic(), further())
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
		// Power and damage.
		{Name: "stop_guest_that_ignores_the_button", run: (*Session).stopDeaf},
		{Name: "reboot_hard_from_every_state", run: (*Session).rebootFromEveryState},
		{Name: "reboot_hard_after_undefine", run: (*Session).rebootUndefined},
		{Name: "reboot_hard_after_lost_base", run: (*Session).rebootLostBase},
		{Name: "reboot_hard_after_lost_base_and_image", run: (*Session).rebootLostImage},
		{Name: "crash_dump", run: (*Session).crashDump},
		{Name: "rescue_stopped", run: (*Session).rescueStopped},
	}
}
