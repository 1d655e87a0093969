package moves

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVerbs runs the program's verbs against a node with a guest; `bolide top`, which wants a terminal, has a test of
// its own beside the command.
func TestVerbs(t *testing.T) {
	if testing.Short() {
		t.Skip("the scripts of cmd/bolide run every verb against a sample")
	}
	c := twoHosts(t, "")
	s := c.boot()
	h := c.hosts[s.show().Host]
	built := regexp.MustCompile(`build_and_run_instance +done after`)
	c.until("the build's end", func() bool { // the guest is active a little before
		out, _ := h.bolide("operations")
		return built.MatchString(out)
	})
	dir := t.TempDir()
	for _, v := range []struct {
		args string
		code int
		says string // a regular expression
	}{
		{"status", 0, `(?s)^` + h.Name + `  \S+, serving .*1 instance: 1 active`},
		{"instances", 0, s.id + `  instance-\S+  active`},
		{"instances " + s.id, 0, `(?s)vda .*tap`},
		{"operations --json", 0, `"name": "build_and_run_instance"`},
		{"images", 0, c.image},
		{"images verify", 0, ``},
		{"images prune", 0, ``},
		{"audit", 0, `^1 guests on ` + h.Name + `, no differences`},
		{"domain-xml " + s.id, 0, `^<domain type='qemu'`},
		{"console " + s.id, 0, ``},
		{"drain", 0, `^drained: 1 guest is left`},
		{"status", 0, `drained`},
		{"undrain", 0, `^takes new guests`},
		{"config show --changed", 0, `(?m)^my_ip = ` + h.Address + `  # .*nova.conf`},
		{"reload", 0, `^read again`},
		{"log-level info", 0, `^info`},
		{"log-level", 0, `^info`},
		{"debug goroutines", 0, `^goroutine `},
		{"debug profile -o " + filepath.Join(dir, "heap"), 0, `go tool pprof`},
		{"debug bundle -o " + filepath.Join(dir, "bundle.tar.gz"), 0, `bundle.tar.gz is written`},
		{"version --json", 0, `"version":`},
		{"instances nobody", 1, `^bolide: no instance nobody on this node`},
		{"audit --fix everything", 2, `everything`},
	} {
		out, code := h.bolide(strings.Fields(v.args)...)
		if code != v.code || !regexp.MustCompile(v.says).MatchString(out) {
			t.Errorf("bolide %s: exit code %d, want %d and %q:\n%s", v.args, code, v.code, v.says, out)
		}
	}
}

// bolide runs a verb of the program on the host, with the key that leaves a console for its input.
func (h *host) bolide(args ...string) (output string, code int) {
	t := h.c.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(args, "--socket", h.Path("bolide.sock"))...)
	cmd.Stdin = strings.NewReader("\x1d")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("bolide %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
