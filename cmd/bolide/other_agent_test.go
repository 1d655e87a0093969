package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOtherAgent(t *testing.T) {
	conf := func(host string) string {
		return "[DEFAULT]\nhost = " + host + "\n[placement]\nauth_type = password\nauth_url = http://k/v3\n[neutron]\nauth_section = placement\n"
	}
	for name, tt := range map[string]struct {
		argv, net, conf string
		refused         bool
	}{
		"the same host":         {"/usr/bin/python3 /usr/bin/nova-compute --config-file /nova.conf", "net:[1]", conf("node-1"), true},
		"with an equals sign":   {"nova-compute --config-file=/nova.conf", "net:[1]", conf("node-1"), true},
		"another host":          {"/usr/bin/nova-compute --config-file /nova.conf", "net:[1]", conf("node-2"), false},
		"who knows which host":  {"/usr/bin/nova-compute --config-file /nova.conf", "net:[1]", "nonsense", true},
		"another namespace":     {"/usr/bin/nova-compute --config-file /nova.conf", "net:[2]", conf("node-1"), false},
		"something else":        {"/usr/bin/nova-conductor --config-file /nova.conf", "net:[1]", conf("node-1"), false},
		"an editor's argument":  {"vi -R -n nova-compute", "net:[1]", conf("node-1"), false},
		"a process without any": {"", "net:[1]", conf("node-1"), false},
	} {
		t.Run(name, func(t *testing.T) {
			proc := t.TempDir()
			process := filepath.Join(proc, "42")
			for dir, net := range map[string]string{filepath.Join(proc, "self"): "net:[1]", process: tt.net} {
				if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(net, filepath.Join(dir, "ns", "net")); err != nil {
					t.Fatal(err)
				}
			}
			for file, text := range map[string]string{"cmdline": strings.ReplaceAll(tt.argv, " ", "\x00") + "\x00", "root/nova.conf": tt.conf} {
				path := filepath.Join(process, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := otherAgent(proc, "node-1")
			if (err != nil) != tt.refused {
				t.Errorf("refused: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "process 42") {
				t.Errorf("%v does not say which process", err)
			}
		})
	}
}
