package agent

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libvirt.org/go/libvirt"

	"bolide/agent/config"
	"bolide/agent/guest"
	"bolide/hypervisor"
	"bolide/rpc/nova"
	"bolide/test/controller/image"
	"bolide/test/virt"
)

// tpmNode is a node that offers TPMs, with an instance to build that is to have one. Its user asks.
func tpmNode(t *testing.T) (*node, image.Record) {
	t.Helper()
	n := newNode(t, map[string]string{
		"libvirt.swtpm_enabled": "true", "DEFAULT.shutdown_timeout": "0", "libvirt.wait_soft_reboot_seconds": "20",
	})
	n.token, n.local.tpmDir = "of the user", filepath.Join(n.daemon.Root(), "swtpm")
	r := n.bootable(t)
	n.conductor.instance.Obj("flavor").Set("extra_specs", map[string]any{"hw:tpm_version": "2.0"})
	n.conductor.instance.Set("image_ref", r.ID())
	n.conductor.instance.Set("vm_state", "building")
	n.conductor.instance.Set("system_metadata", map[string]any{})
	n.conductor.instance.ClearChanges()
	return n, r
}

// build asks for the instance to be built from the image.
func (n *node) build(t *testing.T, r image.Record) error {
	t.Helper()
	spec := n.profile.New("RequestSpec")
	spec.Set("scheduler_hints", map[string]any{})
	_, err := n.ask(t, opBuild, nova.TaskScheduling, map[string]any{
		"image":             map[string]any{"id": r.ID(), "status": "active", "disk_format": "raw", "container_format": "bare", "size": r["size"], "min_ram": 0, "min_disk": 0, "properties": map[string]any{}},
		"filter_properties": map[string]any{}, "security_groups": []any{}, "admin_password": nil, "block_device_mapping": nil,
		"requested_networks": nil, "injected_files": nil, "request_spec": spec, "limits": nil, "host_list": nil,
	})
	return err
}

// bootTPM builds a guest with a TPM.
func bootTPM(t *testing.T) *node {
	t.Helper()
	for _, tool := range []string{"swtpm", "swtpm_setup"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	n, r := tpmNode(t)
	if err := checkEmulator(n.cfg.Libvirt); err != nil {
		t.Fatal(err)
	}
	if err := n.build(t, r); err != nil {
		t.Fatal(err)
	}
	return n
}

// markTPM puts a file beside what the guest's TPM holds, which goes where that goes.
func (n *node) markTPM(t *testing.T, uuid string) string {
	t.Helper()
	mark := filepath.Join(n.local.tpmDir, uuid, "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return mark
}

// runsWithTPM looks that the guest runs, that Barbican keeps its TPM's secret, and that libvirt has none any more.
func (n *node) runsWithTPM(t *testing.T, uuid string) {
	t.Helper()
	if power := n.power(t, uuid); power != nova.PowerRunning {
		t.Errorf("the guest is %s", power)
	}
	kept, lent := n.secrets(t)
	if len(kept) != 1 || kept[0] != "vTPM secret for instance "+uuid || len(lent) != 0 {
		t.Errorf("secrets: Barbican keeps %q, libvirt %q", kept, lent)
	}
}

// secrets are those that Barbican keeps, by name, and libvirt, by id.
func (n *node) secrets(t *testing.T) (kept, lent []string) {
	t.Helper()
	kept, err := n.barbican.Secrets("project")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := libvirt.NewConnect(n.daemon.URI())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if lent, err = conn.ListSecrets(); err != nil {
		t.Fatal(err)
	}
	return kept, lent
}

// TestGuestWithATPM builds a guest with a TPM, restarts it in every way, and deletes it.
func TestGuestWithATPM(t *testing.T) {
	n := bootTPM(t)
	uuid := n.conductor.instance.Str("uuid")
	i := nova.As[nova.Instance](n.conductor.instance)
	secret := i.SystemMetadata()[guest.SecretOfTPM]
	if i.VMState() != nova.VMActive || secret == "" {
		t.Fatalf("the instance is %s, its secret %q: %q", i.VMState(), secret, n.conductor.written())
	}
	xml, err := n.hypervisor.XML(within(t, patience), uuid, hypervisor.XMLOptions{Inactive: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"<tpm model='tpm-tis'>", "<backend type='emulator' version='2.0'>", "<encryption secret='" + secret + "'/>"} {
		if !strings.Contains(xml, part) {
			t.Errorf("no %s in\n%s", part, xml)
		}
	}
	n.runsWithTPM(t, uuid)
	traits, err := probe{n.Agent}.Traits(within(t, patience))
	if err != nil || !traits["COMPUTE_SECURITY_TPM_1_2"] || !traits["COMPUTE_SECURITY_TPM_2_0"] {
		t.Errorf("the host offers no TPMs: %v", err)
	}
	mark := n.markTPM(t, uuid)
	virt.Guest{Name: uuid, Console: filepath.Join(n.instanceDir(uuid), "console.log")}.WaitConsole(t, virt.Banner) // before, it is deaf

	for _, c := range []struct {
		name  string
		op    func(*Agent) operation
		state nova.TaskState
		args  map[string]any
	}{
		{"soft reboot", opReboot, nova.TaskRebooting, map[string]any{"reboot_type": "SOFT"}},
		{"hard reboot", opReboot, nova.TaskRebootingHard, map[string]any{"reboot_type": "HARD"}},
		{"suspend", opSuspend, nova.TaskSuspending, nil},
		{"resume", opResume, nova.TaskResuming, nil},
		{"stop", opStop, nova.TaskPoweringOff, map[string]any{"clean_shutdown": false}},
		{"start", opStart, nova.TaskPoweringOn, nil},
	} {
		n.conductor.forget()
		if _, err := n.ask(t, c.op, c.state, c.args); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if fault := slices.IndexFunc(n.conductor.written(), func(l string) bool { return strings.HasPrefix(l, "fault") }); fault >= 0 {
			t.Errorf("%s: %s", c.name, n.conductor.written()[fault])
		}
	}
	n.runsWithTPM(t, uuid)
	if !there(mark) {
		t.Error("what the TPM held is lost")
	}

	n.token = ""
	if _, err := n.ask(t, opReboot, nova.TaskRebootingHard, map[string]any{"reboot_type": "HARD"}); err != nil {
		t.Errorf("a reboot that leaves the guest running: %v", err)
	}
	const fault = "fault 500 reboot failed on here: only the guest's user can open its TPM"
	if got := n.conductor.written(); !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, fault) }) {
		t.Errorf("no %q in %q", fault, got)
	}
	n.runsWithTPM(t, uuid)
	if _, err := n.ask(t, opTerminate, nova.TaskDeleting, map[string]any{"bdms": nil}); err == nil {
		t.Error("deleted without its user, whose secret is left behind")
	}

	n.token = "of the user"
	if _, err := n.ask(t, opTerminate, nova.TaskDeleting, map[string]any{"bdms": nil}); err != nil {
		t.Fatal(err)
	}
	n.isGone(t, uuid)
	if kept, lent := n.secrets(t); len(kept)+len(lent) > 0 {
		t.Errorf("secrets are left: Barbican %q, libvirt %q", kept, lent)
	}
	if _, there := n.conductor.instance.Raw("system_metadata").(map[string]any)[guest.SecretOfTPM]; there {
		t.Error("the record still names the secret")
	}
	if there(filepath.Dir(mark)) {
		t.Error("what the TPM held is left")
	}
}

// resizeTo resizes the guest to a flavor with extra specs; its user has yet to decide.
func (m *moved) resizeTo(t *testing.T, specs map[string]any) {
	t.Helper()
	m.flavor.Set("extra_specs", specs)
	m.flavor.Set("id", m.flavor.Int("id")+1)
	m.flavor.ClearChanges()
	for _, part := range resizeParts {
		if _, err := m.do(t, part.op, part.task, part.status); err != nil {
			t.Fatalf("%s: %v", part.op(nil).method, err)
		}
	}
}

// TestResizeWithATPM resizes a guest in place: with its TPM or another one or none, and back, and then for good to none
// and to one again.
func TestResizeWithATPM(t *testing.T) {
	if testing.Short() {
		t.Skip("many starts of guests with TPMs")
	}
	n := bootTPM(t)
	m := n.moving(n.conductor.instance.Str("uuid"))
	mark := n.markTPM(t, m.uuid)
	m.failsToMove(t)
	if !there(mark) {
		t.Fatal("what the TPM holds is lost in a move that failed")
	}
	one, none := map[string]any{"hw:tpm_version": "2.0"}, map[string]any{}

	for name, c := range map[string]struct {
		specs map[string]any
		kept  bool // what the TPM holds
	}{"with its TPM": {one, true}, "with another TPM": {map[string]any{"hw:tpm_version": "1.2"}, false}, "without": {none, false}} {
		m.resizeTo(t, c.specs)
		m.runsWithTPM(t, m.uuid) // its secret is kept in any case: it may come back
		if aside := filepath.Join(m.dir+asideSuffix, tpmFolder, m.uuid, "mark"); there(mark) != c.kept || !there(aside) {
			t.Errorf("resized %s: libvirt has what the TPM held: %t, set aside: %t", name, there(mark), there(aside))
		}
		for _, part := range []func(*Agent) operation{opRevertResize, opFinishRevertResize} {
			if _, err := m.do(t, part, nova.TaskResizeReverting, "reverting"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		m.runsWithTPM(t, m.uuid)
		if xml := m.domain(t); !there(mark) || !strings.Contains(xml, "version='2.0'") {
			t.Errorf("reverted %s: libvirt has what the TPM held: %t", name, there(mark))
		}
	}

	for secrets, specs := range []map[string]any{none, one} {
		m.resizeTo(t, specs)
		if _, err := m.do(t, opConfirmResize, nova.NoTask, "confirming"); err != nil {
			t.Fatal(err)
		}
		kept, _ := m.secrets(t)
		id := nova.As[nova.Instance](m.conductor.instance).SystemMetadata()[guest.SecretOfTPM]
		if xml := m.domain(t); len(kept) != secrets || (id != "") != (secrets > 0) || strings.Contains(xml, "<tpm") != (secrets > 0) {
			t.Errorf("resized to %v: %d secrets, id %q, definition\n%s", specs, len(kept), id, xml)
		}
		if there(mark) {
			t.Error("what the TPM held is there after it was given up")
		}
	}
}

// failsToMove asks for moves that fail, the first because the guest could not be started again. The guest runs on.
func (m *moved) failsToMove(t *testing.T) {
	t.Helper()
	m.node.token = ""
	if _, err := m.do(t, opResizeInstance, nova.TaskResizePrep, "pre-migrating"); !errors.Is(err, errNoUser) {
		t.Errorf("err = %v", err)
	}
	m.runsWithTPM(t, m.uuid)
	m.node.token = "of the user"
	m.conductor.refuse = func(line string) error {
		if line == "cast finish_resize" {
			return errTold
		}
		return nil
	}
	if _, err := m.do(t, opResizeInstance, nova.TaskResizePrep, "pre-migrating"); !nova.Is(err, "ResizeError") {
		t.Errorf("err = %v", err)
	}
	m.conductor.refuse = nil
	m.runsWithTPM(t, m.uuid)
	if m.aside() {
		t.Error("files lie aside")
	}
}

// TestBuildWithATPMThatFails breaks builds before and after the secret is made: none is left.
func TestBuildWithATPMThatFails(t *testing.T) {
	for _, step := range []string{"TPM secret", "define"} {
		t.Run(step, func(t *testing.T) {
			n, r := tpmNode(t)
			kept := 0
			n.obstacle = func(_, at string) error {
				if at != step {
					return nil
				}
				all, _ := n.secrets(t)
				kept = len(all)
				return errTold
			}
			if err := n.build(t, r); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 0, false: 1}[step == "TPM secret"]; kept != want {
				t.Errorf("Barbican kept %d secrets", kept)
			}
			if left, _ := n.secrets(t); len(left) > 0 {
				t.Errorf("left in Barbican: %q", left)
			}
			if id, there := n.conductor.instance.Raw("system_metadata").(map[string]any)[guest.SecretOfTPM]; there {
				t.Errorf("the record names a secret: %v", id)
			}
		})
	}
}

// TestBuildWithATPMNobodyAskedFor has no user whose secret it could be.
func TestBuildWithATPMNobodyAskedFor(t *testing.T) {
	n, r := tpmNode(t)
	n.token = ""
	if err := n.build(t, r); err != nil {
		t.Fatal(err)
	}
	const fault = "only the guest's user can open its TPM"
	if got := n.conductor.written(); !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, fault) }) {
		t.Errorf("no fault %q in %q", fault, got)
	}
}

func TestHostsThatCannotEmulateTPMs(t *testing.T) {
	able := config.Libvirt{GuestCPU: config.GuestCPU{SWTPMEnabled: true, SWTPMUser: "root", SWTPMGroup: "root"}}
	path := t.TempDir()
	t.Setenv("PATH", path)
	for name, c := range map[string]struct {
		change func(*config.Libvirt)
		tools  bool
		want   string
	}{
		"switched off": {func(l *config.Libvirt) { *l = config.Libvirt{} }, false, ""},
		"no tools":     {func(*config.Libvirt) {}, false, "neither swtpm nor swtpm_setup is installed"},
		"able":         {func(*config.Libvirt) {}, true, ""},
		"no user":      {func(l *config.Libvirt) { l.SWTPMUser = "nobody-of-this-name" }, true, "[libvirt] swtpm_user: user: unknown user"},
		"no group":     {func(l *config.Libvirt) { l.SWTPMGroup = "nobody-of-this-name" }, true, "[libvirt] swtpm_group: group: unknown group"},
	} {
		t.Run(name, func(t *testing.T) {
			l := able
			c.change(&l)
			tool := filepath.Join(path, "swtpm")
			if c.tools {
				if err := os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o755); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(tool)
			}
			switch err := checkEmulator(l); {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) && !strings.HasSuffix(err.Error(), c.want)):
				t.Errorf("%v, not %q", err, c.want)
			}
		})
	}
}

// TestTPMsAreNotLeftAlone: a node whose TPMs are switched off does not look after guests that have them.
func TestTPMsAreNotLeftAlone(t *testing.T) {
	a := &Agent{cfg: &config.Config{}}
	n := &node{Agent: &Agent{profile: nova.Zed()}}
	plain := n.newInstance("11111111-1111-1111-1111-111111111111")
	sealed := n.newInstance("22222222-2222-2222-2222-222222222222")
	sealed.Obj("flavor").Set("extra_specs", map[string]any{"hw:tpm_version": "1.2"})
	guests := []*nova.Instance{nova.As[nova.Instance](plain), nova.As[nova.Instance](sealed)}
	if err := a.checkTPMs(guests[:1]); err != nil {
		t.Error(err)
	}
	if err := a.checkTPMs(guests); err == nil || !strings.Contains(err.Error(), sealed.Str("uuid")) {
		t.Errorf("err = %v", err)
	}
	a.cfg.Libvirt.SWTPMEnabled = true
	if err := a.checkTPMs(guests); err != nil {
		t.Error(err)
	}
}

// TestMoveTree moves a directory beside itself and to another file system.
func TestMoveTree(t *testing.T) {
	far, err := os.MkdirTemp("/dev/shm", "bolide")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(far) })
	src := filepath.Join(t.TempDir(), "src")
	if err := os.MkdirAll(filepath.Join(src, "tpm2"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "tpm2", "state"), []byte("sealed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(far, "dst.part", "half"), 0o700); err != nil { // of a move that was cut off
		t.Fatal(err)
	}
	for _, dst := range []string{src + "2", filepath.Join(far, "dst")} {
		if err := moveTree(src, dst); err != nil {
			t.Fatal(err)
		}
		state := filepath.Join(dst, "tpm2", "state")
		content, err := os.ReadFile(state)
		if err != nil || string(content) != "sealed" || there(src) || there(dst+".part") {
			t.Errorf("moved to %s: %q, %v; source there: %t", dst, content, err, there(src))
		}
		if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("moved to %s: %v, %v", dst, info, err)
		}
		src = dst
	}
}
