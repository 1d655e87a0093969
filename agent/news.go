package agent

import "bolide/agent/notice"

// news is what a notification is about, in the two forms that Nova's node tells it in.
type news struct {
	unversioned string         // compute.instance.<this>.<phase>; "": not told in this form
	versioned   string         // instance.<this>.<phase>; "": not told in this form
	payload     notice.Payload // of the versioned form
	volumes     bool           // the versioned form tells volumes even where the operator does not ask for them
	elevated    bool           // told with an administrator's rights, as Nova's node does here
}

// The news of Nova's node. Those of the operations that do nothing but what the news say are in the operation's field
// news; others announce them at the points of their work where Nova's node does.
var (
	newsCreate        = news{"create", "create", notice.Create, true, false}
	newsDelete        = news{"delete", "delete", notice.Action, true, false}
	newsShutdown      = news{"shutdown", "shutdown", notice.Action, true, true}
	newsSoftDelete    = news{"soft_delete", "soft_delete", notice.Action, false, false}
	newsRestore       = news{"restore", "restore", notice.Action, false, false}
	newsPowerOn       = news{"power_on", "power_on", notice.Action, false, false}
	newsPowerOff      = news{"power_off", "power_off", notice.Action, false, false}
	newsReboot        = news{"reboot", "reboot", notice.Action, true, true}
	newsPause         = news{"pause", "pause", notice.Action, false, false}
	newsUnpause       = news{"unpause", "unpause", notice.Action, false, false}
	newsSuspend       = news{"suspend", "suspend", notice.Action, false, true}
	newsResume        = news{"resume", "resume", notice.Action, true, true}
	newsCrashDump     = news{"trigger_crash_dump", "trigger_crash_dump", notice.Action, false, false}
	newsSnapshot      = news{"snapshot", "snapshot", notice.Snapshot, false, true}
	newsShelve        = news{"shelve", "shelve", notice.Action, false, false}
	newsShelveOffload = news{"shelve_offload", "shelve_offload", notice.Action, true, false}
	newsUnshelve      = news{"unshelve", "unshelve", notice.Action, true, false}
	newsAttachPort    = news{"", "interface_attach", notice.Action, false, false}
	newsDetachPort    = news{"", "interface_detach", notice.Action, false, false}
	newsAddAddress    = news{"create_ip", "", notice.Action, false, false}
	newsDropAddress   = news{"delete_ip", "", notice.Action, false, false}
	newsPrepResize    = news{"resize.prep", "resize_prep", notice.ResizePrep, false, false}
	newsResize        = news{"resize", "resize", notice.Action, true, false}
	newsResizeFailed  = news{"resize", "resize", notice.Action, false, false}
	newsFinishResize  = news{"finish_resize", "resize_finish", notice.Action, true, false}
	newsConfirmResize = news{"resize.confirm", "resize_confirm", notice.Action, false, false}
	newsRevertResize  = news{"resize.revert", "resize_revert", notice.Action, true, false}
	newsRescue        = news{"rescue", "rescue", notice.Rescue, false, true}
	newsUnrescue      = news{"unrescue", "unrescue", notice.Action, false, true}
	newsRebuild       = news{"rebuild", "rebuild", notice.Rebuild, true, true}
	newsLivePre       = news{"live_migration.pre", "live_migration_pre", notice.Action, true, false}
	newsLivePost      = news{"live_migration._post", "live_migration_post", notice.Action, false, false}
	newsLivePostDest  = news{"live_migration.post.dest", "live_migration_post_dest", notice.Action, false, false}
	newsLiveBack      = news{"live_migration._rollback", "live_migration_rollback", notice.Action, true, false}
	newsLiveBackDest  = news{"live_migration.rollback.dest", "live_migration_rollback_dest", notice.Action, false, false}
	newsLiveForce     = news{"live.migration.force.complete", "live_migration_force_complete", notice.Action, false, false}
	newsLiveAbort     = news{"live.migration.abort", "live_migration_abort", notice.Action, false, false}
	newsExists        = news{"exists", "exists", notice.Exists, false, false}
)

// phase is how far what is told has come.
type phase string

const (
	phaseNone  phase = "" // of what has no length
	phaseStart phase = "start"
	phaseEnd   phase = "end"
	phaseError phase = "error"
)

// of is the type of the event; "" for a form in which nothing is told.
func (p phase) of(prefix, name string) string {
	switch {
	case name == "":
		return ""
	case p == phaseNone:
		return prefix + name
	}
	return prefix + name + "." + string(p)
}
