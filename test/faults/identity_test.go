package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolide/test/controller"
)

// refusal starts a node that is to refuse, with other lines in its configuration, and
// returns what it says.
func (g *ground) refusal(o controller.NodeOptions) string {
	g.t.Helper()
	o.LibvirtURI, o.Socket = g.Virt.URI(), filepath.Join(g.t.TempDir(), "status.sock")
	conf := filepath.Join(g.t.TempDir(), "nova.conf")
	g.must(os.WriteFile(conf, []byte(g.NodeConf(o)), 0o600))
	size := g.logSize()
	began := time.Now()
	n, err := g.spawn(conf)
	g.must(err)
	defer n.Kill()
	if !n.Dead(settleLimit) || n.err == nil {
		g.t.Fatalf("the node does not refuse: %v", n.err)
	}
	g.report("started as "+o.Host+" where it must not be", time.Since(began), "refused")
	return g.logSince(size)
}

// TestIdentity: a node that is not who it says it is refuses in one sentence, before
// it has written anything.
func TestIdentity(t *testing.T) {
	g := newGround(t, "")
	before := g.writes()
	state := filepath.Join(t.TempDir(), "state")
	for _, c := range []struct {
		name string
		o    controller.NodeOptions
		says []string
	}{
		{"a second agent of the same name", controller.NodeOptions{Host: Host, StatePath: state},
			[]string{"another compute service serves host", Host}},
		{"a host that was renamed", controller.NodeOptions{Host: "other", StatePath: filepath.Join(g.dir, "state")},
			[]string{`this host was "` + Host, `is now "other"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := g.in(t).refusal(c.o)
			for _, words := range c.says {
				if !strings.Contains(said, words) {
					t.Errorf("it does not say %q:\n%s", words, said)
				}
			}
		})
	}
	g.in(t)
	if after := g.writes(); after != before {
		t.Errorf("%d services, hypervisors and providers were there, and now %d", before, after)
	}
	id := g.boot()
	g.drop(id)
}

// writes counts what a node that starts writes first.
func (g *ground) writes() int {
	g.t.Helper()
	n := 0
	for _, at := range []struct{ service, path, list string }{
		{"compute", "/os-services", "services"}, {"compute", "/os-hypervisors/detail", "hypervisors"},
		{"placement", "/resource_providers", "resource_providers"},
	} {
		var out map[string][]any
		g.must(g.Ask(g.ctx(), "GET", at.service, at.path, nil, &out))
		n += len(out[at.list])
	}
	return n
}
