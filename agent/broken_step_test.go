package agent

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"

	"bolide/hypervisor"
)

// outcome is what becomes of an instance when a step of an operation fails. The zero one is the usual: the operation is
// undone, record and host are as they were, the user reads which step failed, and the event is closed with the same.
type outcome struct {
	record string // vm_state, task_state and host; "": as before
	lost   bool   // the host is not as before; a delete leaves nothing all the same
	again  bool   // the operation may be asked for again, and then does what it should
	fault  string // with STEP for the step; "": the usual
	silent bool   // the event is closed without an error
}

// What users read, where it is not the usual.
const (
	usualFault  = `VERB failed on here at step "STEP": an unexpected error; try again, or give REQUEST to the operator`
	explained   = `an unexpected error at step "STEP" on here; try again or ask the operator`
	handedBack  = "Build of instance #1 was re-scheduled: " + explained
	noRescue    = "Instance #1 cannot be rescued: Driver Error: " + explained
	noRebuild   = "Build of instance #1 aborted: " + explained
	noResize    = "Resize error: " + explained
	noInterface = "Failed to attach network adapter device to #1" // Nova's words, which its API passes on
)

// inError is what docs/operations.md calls error, with a fault of Nova's or the usual one.
func inError(fault string) outcome {
	return outcome{record: "error/none on here", lost: true, fault: fault}
}

// brokenSteps are the recordings whose operations take steps, with what becomes of each when it fails, by "operation:
// step", or by operation for all its other steps. docs/operations.md says the same in words.
var brokenSteps = []struct {
	recording string
	off       bool // the guest is switched off for it
	outcomes  map[string]outcome
}{
	{recording: "build", outcomes: map[string]outcome{
		"build_and_run_instance": {record: "building/scheduling on none", fault: handedBack, silent: true},
	}},
	{recording: "start", outcomes: map[string]outcome{
		"start_instance: end the running guest": {},
		"start_instance":                        {lost: true, again: true}, // the definition alone
	}},
	{recording: "reboot_hard", outcomes: map[string]outcome{
		"reboot_instance: end the running guest": {silent: true},
		"reboot_instance":                        inError(""),
	}},
	// the smallest guest does not let its cards go
	{recording: "attach_interface", off: true, outcomes: map[string]outcome{"attach_interface": {fault: noInterface}}},
	{recording: "snapshot", outcomes: map[string]outcome{"snapshot_instance": {}}},
	{recording: "rescue", outcomes: map[string]outcome{"rescue_instance": {fault: noRescue}}},
	{recording: "unrescue", outcomes: map[string]outcome{"unrescue_instance": inError("")}},
	{recording: "rebuild", outcomes: map[string]outcome{
		"rebuild_instance: image":            {fault: noRebuild},
		"rebuild_instance: announce":         {fault: noRebuild},
		"rebuild_instance: stop the guest":   {fault: noRebuild},
		"rebuild_instance: remove the guest": {fault: noRebuild},
		"rebuild_instance":                   inError(noRebuild),
	}},
	{recording: "resize", outcomes: map[string]outcome{
		"prep_resize":     {record: "active/resize_prep on here", fault: noResize, silent: true}, // another host is asked
		"resize_instance": {fault: noResize},
		"finish_resize":   inError(noResize),
	}},
	{recording: "confirm_resize", outcomes: map[string]outcome{"confirm_resize": inError(noResize)}},
	{recording: "resize_back_and_revert", outcomes: map[string]outcome{
		"revert_resize":        inError(noResize),
		"finish_revert_resize": inError(noResize),
	}},
	{recording: "shelve", outcomes: map[string]outcome{
		"shelve_instance":                     {},
		"shelve_instance: power off (2)":      {record: "shelved/none on here", lost: true},
		"shelve_instance: read ports":         {record: "shelved/none on here", lost: true},
		"shelve_instance: remove domain":      {record: "shelved/none on here", lost: true},
		"shelve_instance: unplug":             {record: "shelved/none on here", lost: true},
		"shelve_instance: remove files":       {record: "shelved/none on here", lost: true},
		"shelve_instance: release allocation": {record: "shelved/none on here", lost: true},
		"shelve_instance: record (2)":         {record: "shelved/none on here", lost: true},
		"shelve_instance: leave host":         {record: "shelved_offloaded/none on here", lost: true},
	}},
	{recording: "unshelve", outcomes: map[string]outcome{"unshelve_instance": {}}},
	// the record stays behind the guest; the next look at all guests' power finds out
	{recording: "pause", outcomes: map[string]outcome{"pause_instance": {}, "pause_instance: record": {lost: true}}},
	{recording: "unpause", outcomes: map[string]outcome{"unpause_instance": {}, "unpause_instance: record": {lost: true}}},
	{recording: "suspend", outcomes: map[string]outcome{"suspend_instance": {}, "suspend_instance: record": {lost: true}}},
	{recording: "resume", outcomes: map[string]outcome{"resume_instance": {}, "resume_instance: record": {lost: true}}},
	{recording: "stop", outcomes: map[string]outcome{"stop_instance": {}, "stop_instance: record": {lost: true}}},
	{recording: "reboot_soft", outcomes: map[string]outcome{"reboot_instance": {}}},
	{recording: "detach_interface", off: true, outcomes: map[string]outcome{"detach_interface": {lost: true}}},
	{recording: "set_admin_password", outcomes: map[string]outcome{"set_admin_password": {fault: "QEMU guest agent is not enabled"}}},
	{recording: "add_fixed_ip", outcomes: map[string]outcome{"add_fixed_ip_to_instance": {lost: true}}},
	{recording: "remove_fixed_ip", outcomes: map[string]outcome{"remove_fixed_ip_from_instance": {lost: true}}},
	{recording: "backup", outcomes: map[string]outcome{"backup_instance": {}}},
	{recording: "soft_delete", outcomes: map[string]outcome{
		"soft_delete_instance": {record: "soft-delete/none on here", lost: true}, // the guest is off: said with the next write
	}},
	{recording: "restore", outcomes: map[string]outcome{
		"restore_instance: end the running guest": {},
		"restore_instance":                        {lost: true, again: true},
	}},
	{recording: "shelve_offload", outcomes: map[string]outcome{
		"shelve_offload_instance: power off":  {},
		"shelve_offload_instance: read ports": {},
		"shelve_offload_instance":             {lost: true, again: true},
		"shelve_offload_instance: leave host": {record: "shelved_offloaded/none on here", lost: true},
	}},
	{recording: "delete", outcomes: map[string]outcome{
		"terminate_instance": {record: "error/none on here", lost: true, again: true},
	}},
}

// costly says that the guest has to be made anew afterwards, which takes a second or two.
func (want outcome) costly() bool { return want.record != "" || want.lost }

var everyStep = flag.Bool("every-step", false, "break every step, not every third of those that cost the guest")

// TestBrokenSteps breaks each step of each operation once.
func TestBrokenSteps(t *testing.T) {
	th := newTheatre(t)
	tried := map[stepName]bool{}
	for _, c := range brokenSteps {
		t.Run(c.recording, func(t *testing.T) {
			play := th.play
			if c.off {
				play = th.playOff
			}
			for i, s := range th.steps(t, c.recording, play) {
				if tried[s] {
					continue
				}
				tried[s] = true
				want, ok := c.outcomes[s.String()]
				if !ok {
					want, ok = c.outcomes[s.operation]
				}
				if !*everyStep && i%3 != 0 && want.costly() {
					continue
				}
				t.Run(s.String(), func(t *testing.T) {
					if !ok {
						t.Fatal("the table does not say what becomes of it")
					}
					th.breakStep(t, c.recording, s, want, play)
				})
			}
		})
	}
}

// breakStep plays the recording with one step failing.
func (th *theatre) breakStep(t *testing.T, recording string, s stepName, want outcome, play func(*testing.T, string) []string) {
	t.Helper()
	th.setScene(t, recording)
	th.made = ""
	record, host := th.record(), th.host(t)
	th.obstruct(s)
	lines := play(t, recording)
	th.obstacle, th.conductor.refuse = nil, nil
	if want.record != "" {
		record = want.record
	}
	if got := th.record(); got != record {
		t.Errorf("the record says %s, not %s", got, record)
	}
	want.checkTold(t, s, lines)
	if now := th.host(t); !want.lost && !slices.Equal(host, now) {
		t.Errorf("the host is not as before:\n%s", strings.Join(lineDiff(host, now), "\n"))
	}
	if want.again {
		if lines := play(t, recording); slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "fault") }) {
			t.Errorf("asked for again: %q", lines)
		}
	}
	if want.costly() {
		th.clear(t)
	}
}

// checkTold looks at what the user is told.
func (want outcome) checkTold(t *testing.T, s stepName, lines []string) {
	t.Helper()
	op := operationNamed(s.operation)
	text := want.fault
	if text == "" {
		text = strings.ReplaceAll(usualFault, "VERB", op.verb())
	}
	if s.name == "" {
		text = strings.ReplaceAll(text, ` at step "STEP"`, "")
	}
	text = strings.ReplaceAll(text, "STEP", s.name)
	told := func(line string) bool {
		word, rest, _ := strings.Cut(line, " ")
		_, rest, _ = strings.Cut(rest, " ")
		return word == "fault" && rest == text
	}
	if !slices.ContainsFunc(lines, told) {
		t.Errorf("fault %q is not in %q", text, lines)
	}
	if len(text) > faultLimit {
		t.Errorf("a fault of %d bytes: %s", len(text), text)
	}
	end := "event finish_with_failure " + op.event
	if !want.silent {
		end += ": " + text
	}
	if op.event != "" && !slices.Contains(lines, end) {
		t.Errorf("%q is not in %q", end, lines)
	}
}

// clear deletes the guest, of which nothing may be left.
func (th *theatre) clear(t *testing.T) {
	t.Helper()
	th.setScene(t, "build")
	th.made = ""
	for _, line := range th.host(t) {
		switch word, _, _ := strings.Cut(line, " "); word {
		case "domain", "file", "tap", "copy", "address":
			t.Errorf("left on the host: %s", line)
		case "claimed", "waiters":
			if strings.Trim(line, "claimedwtrs:,CPUMBG 0") != "" {
				t.Errorf("left on the host: %s", line)
			}
		}
	}
}

// stepName is a step of an operation. One without a name stands for the first write of the instance, in an operation
// that has no steps.
type stepName struct {
	operation, name string
	nth             int // of the steps of that name
}

func (s stepName) String() string {
	switch {
	case s.name == "":
		return s.operation
	case s.nth > 1:
		return fmt.Sprintf("%s: %s (%d)", s.operation, s.name, s.nth)
	}
	return s.operation + ": " + s.name
}

// obstruct lets the step fail, the next time that it is taken.
func (th *theatre) obstruct(s stepName) {
	nth := 0
	th.obstacle = func(operation, step string) error {
		if operation == s.operation && step == s.name {
			if nth++; nth == s.nth {
				return errTold
			}
		}
		return nil
	}
	th.conductor.refuse = func(line string) error {
		if s.name == "" && strings.HasPrefix(line, "save") {
			if nth++; nth == 1 {
				return errTold
			}
		}
		return nil
	}
}

// steps are those that the recording's operations take when nothing fails.
func (th *theatre) steps(t *testing.T, recording string, play func(*testing.T, string) []string) []stepName {
	t.Helper()
	th.setScene(t, recording)
	var mu sync.Mutex
	var steps []stepName
	th.obstacle = func(operation, step string) error {
		mu.Lock()
		defer mu.Unlock()
		s := stepName{operation, step, 1}
		for slices.Contains(steps, s) {
			s.nth++
		}
		steps = append(steps, s)
		return nil
	}
	play(t, recording)
	th.obstacle = nil
	if len(steps) == 0 {
		steps = append(steps, stepName{operation: th.recorded(t, recording).requests()[0].Message.Method})
	}
	return steps
}

func (th *theatre) record() string {
	i := th.conductor.instance
	return fmt.Sprintf("%s/%v on %v", i.Str("vm_state"), orNone(i.Raw("task_state")), orNone(i.Raw("host")))
}

// changing is what of a definition differs from one that is made later: its time, and the keyboard that guests get with
// their second start, as from Nova's own node, because the first notes their input bus.
var changing = regexp.MustCompile(`<nova:creationTime>[^<]*|\s*<input type='keyboard' bus='usb'>(?s:.*?)</input>`)

// host is all that there is of guests on the host, and what is held for them.
func (th *theatre) host(t *testing.T) []string {
	t.Helper()
	ctx := within(t, patience)
	var all []string
	note := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	guests, err := th.hypervisor.Guests(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guests {
		xml, err := th.hypervisor.XML(ctx, g.UUID, hypervisor.XMLOptions{Inactive: true})
		if err != nil {
			t.Fatal(err)
		}
		note("domain %s", g.State)
		note("domain %s", changing.ReplaceAllString(xml, ""))
	}
	for _, name := range th.guestFiles(t) {
		note("file %s", name)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "tap") {
			note("tap %s", l.Attrs().Name)
		}
	}
	for _, name := range th.leftCopies(t) {
		note("copy %s", name)
	}
	c := th.resources.Capacity()
	note("claimed: %d CPUs, %d MB, %d GB", c.VCPUs.Claimed, c.MemoryMB.Claimed, c.DiskGB.Claimed)
	note("waiters: %d", len(th.waiters.byKey))
	if th.conductor.instance != nil {
		ports, err := th.neutron.Addresses(th.uuid())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range ports["net1"] {
			note("address %s", a.Addr)
		}
	}
	if r, err := th.glance.Get(th.made); err == nil {
		note("image %s", r.Status())
	}
	slices.Sort(all)
	return strings.Split(strings.Join(all, "\n"), "\n") // a definition has many lines
}

// guestFiles are the files of guests among the instances.
func (th *theatre) guestFiles(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(th.cfg.Default.InstancesPath, "*-*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			names = append(names, strings.TrimPrefix(path, filepath.Dir(dir)))
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return names
}
