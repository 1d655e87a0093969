package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

// The unit and the program have to agree on a few things.
func TestUnit(t *testing.T) {
	f, err := os.Open("../../systemd/bolide.service")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	options, err := unit.DeserializeOptions(f)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, o := range options {
		got[o.Name] = o.Value
	}
	for name, want := range map[string]string{
		"Type":                     "notify",
		"NotifyAccess":             "main",
		"ExecStart":                "/usr/bin/bolide run $BOLIDE_ARGS",
		"RestartPreventExitStatus": strconv.Itoa(exitUsage) + " " + strconv.Itoa(exitConfig),
		"KillMode":                 "process",
		"Conflicts":                "nova-compute.service",
		"RuntimeDirectory":         "bolide",
	} {
		if got[name] != want {
			t.Errorf("%s=%s, want %s", name, got[name], want)
		}
	}
	if got["WatchdogSec"] == "" {
		t.Error("no WatchdogSec")
	}
}

// systemd itself finds nothing to complain about.
func TestUnitIsSound(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze")
	}
	text, err := os.ReadFile("../../systemd/bolide.service")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bolide.service")
	// It is verified where the program is not installed.
	here := strings.Replace(string(text), "/usr/bin/bolide", "/bin/true", 1)
	if err := os.WriteFile(path, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "bolide.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// The users and directories can be made on an empty system.
func TestUsersAndDirectories(t *testing.T) {
	for _, tool := range []string{"systemd-sysusers", "systemd-tmpfiles"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"bolide.sysusers": "usr/lib/sysusers.d/bolide.conf", "bolide.tmpfiles": "usr/lib/tmpfiles.d/bolide.conf"} {
		text, err := os.ReadFile(filepath.Join("../../systemd", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, to), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, argv := range [][]string{
		{"systemd-sysusers", "--root=" + root, "bolide.conf"},
		{"systemd-tmpfiles", "--root=" + root, "--create", "bolide.conf"},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", argv, err, out)
		}
	}
	groups, err := os.ReadFile(filepath.Join(root, "etc/group"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []string{"bolide:", "nova:", "libvirt:", "kvm:"} {
		if !strings.Contains("\n"+string(groups), "\n"+g) {
			t.Errorf("no group %s", g)
		}
	}
	if st, err := os.Stat(filepath.Join(root, "var/lib/nova/instances")); err != nil || !st.IsDir() {
		t.Errorf("no directory for instances: %v", err)
	}
}
