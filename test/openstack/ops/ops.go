// Package ops drives a compute node through Nova's API, one operation after the
// other, and checks what Nova, the guest, libvirt and the host say afterwards.
//
// To add an operation, write a method of Session in the file of its subject and
// put it into the list of All. Most operations act on the one guest that
// Session.guest makes at need, so each can be run alone.
package ops

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// Op is one operation.
type Op struct {
	Name string
	run  func(*Session, context.Context) error
	// awaited says that Bolide refuses this operation so far: only Nova's own
	// node is expected to pass, and the operation runs for Bolide only by name.
	awaited bool
	only    string // the one node it makes sense for; "" for every node
}

// timeout bounds one operation; the slowest boots two guests after another.
const timeout = 5 * time.Minute

// changeTimeout bounds one change of a guest; the slowest wait for it to power
// off, or to be copied.
const changeTimeout = 150 * time.Second

// All returns every operation in the order in which a full run takes them.
func All() []Op {
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

// Select returns the operations of these names, in the order of All; without
// names, all those that the node is expected to pass.
func Select(n ground.Node, names []string) ([]Op, error) {
	var chosen []Op
	unknown := slices.Clone(names)
	for _, op := range All() {
		named := slices.Contains(names, op.Name)
		fits := (op.only == "" || op.only == n.Kind) && (n.Kind == "nova" || !op.awaited)
		if named || len(names) == 0 && fits {
			chosen = append(chosen, op)
		}
		unknown = slices.DeleteFunc(unknown, func(s string) bool { return s == op.Name })
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no such operations: %s", strings.Join(unknown, ", "))
	}
	return chosen, nil
}

// Run runs the operations, prints a line for each and a sum, and returns how
// many failed. When one fails, the rest still runs.
func Run(ctx context.Context, out io.Writer, n ground.Node, chosen []Op) (failed int, err error) {
	servers, err := api.NewServers(ctx, ground.ImageName, ground.FlavorName, ground.NetworkName)
	if err != nil {
		return 0, err
	}
	s := &Session{Servers: servers, node: n}
	passed := 0
	for _, op := range chosen {
		start := time.Now()
		err := s.one(ctx, op)
		verdict, why := "PASS", ""
		if err != nil {
			verdict, why = "FAIL", "  "+strings.ReplaceAll(err.Error(), "\n", " ")
			failed++
		} else {
			passed++
		}
		_, _ = fmt.Fprintf(out, "%-36s %s %7.2f s%s\n", op.Name, verdict, time.Since(start).Seconds(), why)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
	}
	_, _ = fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	return failed, nil
}

func (s *Session) one(ctx context.Context, op Op) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return op.run(s, ctx)
}

// Session is one run: what the operations share.
type Session struct {
	*api.Servers
	node ground.Node

	server  string   // the guest most operations act on; "" when there is none
	broken  error    // why there is none: tried once, lest every operation waits for it
	ports   []string // its ports, for when it is gone
	snapped string   // the image that snapshot left for boot_from_snapshot
	port    string   // the port that attach_interface left for detach_interface
	flavors int      // made so far, for their names
}

// guest returns the guest that most operations act on, and boots it if there is
// none.
func (s *Session) guest(ctx context.Context) (string, error) {
	if s.broken != nil {
		return "", fmt.Errorf("no guest to act on: %w", s.broken)
	}
	if s.server != "" {
		return s.server, nil
	}
	v, err := s.Boot(ctx, "ops", api.Options{
		"user_data": api.UserData("#!/bin/sh\necho hi\n"),
		"metadata":  map[string]any{"k": "v"},
	})
	if err != nil {
		s.broken = err
		return "", err
	}
	s.server = v.ID
	s.ports, err = s.portsOf(ctx, v.ID)
	return v.ID, err
}

// change asks for an action on the guest, and waits until the guest is in the
// state it leads to and every part of the action succeeded. The state alone may
// be the one from before, which a refused operation restores.
func (s *Session) change(ctx context.Context, action string, arg any, want api.State) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	if err := s.Act(ctx, id, action, arg, nil); err != nil {
		return err
	}
	return api.Until(ctx, changeTimeout, func(ctx context.Context) (bool, error) {
		if ended, err := s.lastActionEnded(ctx, id); !ended || err != nil {
			return ended, err
		}
		v, err := s.Show(ctx, id)
		if err != nil {
			return true, err
		}
		return v.Reached(want)
	})
}
