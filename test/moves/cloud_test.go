package moves

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/test/broker"
	"bolide/test/controller"
	"bolide/test/controller/compute"
	"bolide/test/controller/identity"
	"bolide/test/controller/network"
	"bolide/test/hosts"
	"bolide/test/virt"
)

// patience is how long tests wait for what should come soon.
const patience = 2 * time.Minute

var (
	rabbit broker.Shared
	binary string // of bolide
)

func TestMain(m *testing.M) {
	code, err := withBinary(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	rabbit.Close()
	os.Exit(code)
}

func withBinary(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "moves")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "bolide")
	if out, err := exec.Command("go", "build", "-o", binary, "bolide/cmd/bolide").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build bolide: %w: %s", err, out)
	}
	return m.Run(), nil
}

// cloud is a control plane with two hosts.
type cloud struct {
	t *testing.T
	*controller.Controller
	agents                        agents
	token, image, flavor, network string
	hosts                         map[string]*host
}

// host is a compute host with its node.
type host struct {
	*hosts.Host
	c       *cloud
	program *virt.Program
	log     string
}

// newCloud starts everything but the nodes.
func newCloud(t *testing.T) *cloud {
	t.Helper()
	if err := hosts.Missing(); err != nil {
		t.Skip(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	cl := &cloud{t: t, hosts: map[string]*host{}}
	c, err := controller.New(controller.Options{
		Dir: t.TempDir(), BrokerURL: rabbit.Get(t).URL(), Wire: &cl.agents, Log: logrus.NewEntry(log),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("control plane: %v", err)
		}
	})
	wait, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := c.WaitUp(wait); err != nil {
		t.Fatal(err)
	}
	who, err := c.Identity.Issue(identity.Admin, identity.AdminProject)
	if err != nil {
		t.Fatal(err)
	}
	cl.Controller, cl.token = c, who.Token
	cl.seed(who.ProjectID)
	return cl
}

// seed adds an image, a flavor and a network.
func (c *cloud) seed(project string) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "image")
	if err := virt.WriteBootDisk(file); err != nil {
		c.t.Fatal(err)
	}
	img, err := c.Images.Add("tiny", "raw", file, project)
	if err != nil {
		c.t.Fatal(err)
	}
	c.image = img.ID()
	if c.flavor, err = c.Compute.AddFlavor(compute.FlavorOptions{Name: "tiny", MemoryMB: 64, VCPUs: 1, RootGB: 1}); err != nil {
		c.t.Fatal(err)
	}
	c.network, err = c.Network.AddNetwork(network.NetworkOptions{Name: "net", Project: project, CIDR: "198.51.100.0/24"})
	if err != nil {
		c.t.Fatal(err)
	}
}

// twoHosts starts the hosts "one" and "two", each of which reaches the other's libvirtd, and what listens on the further
// addresses on the test's loopback. More is appended to the nodes' configuration.
func twoHosts(t *testing.T, more string, further ...string) *cloud {
	t.Helper()
	c := newCloud(t)
	pair, err := hosts.New(hosts.Options{Services: append(c.services(), further...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pair.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, h := range pair.All() {
		c.hosts[h.Name] = &host{Host: h, c: c, log: filepath.Join(t.TempDir(), h.Name+".log")}
		c.agents.follow(c.t, h)
	}
	for name, h := range c.hosts {
		h.configure(c.other(name), more)
		h.start()
	}
	c.until("both services are up", func() bool {
		var out struct {
			Services []struct{ State, Binary string }
		}
		c.must(http.MethodGet, c.URL("compute")+"/os-services", nil, &out)
		n := 0
		for _, s := range out.Services {
			if s.Binary == "nova-compute" && s.State == "up" {
				n++
			}
		}
		return n == 2
	})
	return c
}

func (c *cloud) other(name string) *host {
	if name == "one" {
		return c.hosts["two"]
	}
	return c.hosts["one"]
}

// configure writes the node's nova.conf.
func (h *host) configure(other *host, more string) {
	conf := h.c.NodeConf(controller.NodeOptions{
		Host: h.Name, StatePath: hosts.StatePath, Socket: filepath.Join(hosts.StatePath, "bolide.sock"),
		More: fmt.Sprintf("[DEFAULT]\ndebug = true\nrpc_response_timeout = 5\nmy_ip = %s\n"+
			"[libvirt]\nlive_migration_uri = %s\nlive_migration_inbound_addr = %[1]s\n%[3]s", h.Address, other.URI(), more),
	})
	if err := os.WriteFile(h.Path("nova.conf"), []byte(conf), 0o600); err != nil {
		h.c.t.Fatal(err)
	}
}

// start runs the node.
func (h *host) start() {
	t := h.c.t
	t.Helper()
	f, err := os.OpenFile(h.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Run(f, binary, "run", "--config-file", filepath.Join(hosts.StatePath, "nova.conf"))
	if err != nil {
		t.Fatal(err)
	}
	h.program = p
	t.Cleanup(func() {
		_ = p.Signal(syscall.SIGTERM) // it may have been killed
		select {
		case <-p.Done():
		case <-time.After(patience):
			t.Errorf("node %s does not stop", h.Name)
			p.Kill()
		}
		_ = f.Close()
		if b, err := os.ReadFile(h.log); err == nil && t.Failed() {
			t.Logf("node %s:\n%s", h.Name, b[max(0, len(b)-20000):])
		}
	})
}

// ask makes a request and reads the answer into out. It returns the status of a refusal; 0 = none.
func (c *cloud) ask(method, url string, in, out any) int {
	c.t.Helper()
	err := controller.Client{Token: c.token, HTTP: &http.Client{Timeout: patience}}.Ask(context.Background(), method, url, in, out)
	var refused *controller.Refusal
	if errors.As(err, &refused) {
		c.t.Log(err)
		return refused.Status
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return 0
}

// must is ask for what has to succeed.
func (c *cloud) must(method, url string, in, out any) {
	c.t.Helper()
	if status := c.ask(method, url, in, out); status != 0 {
		c.t.Fatalf("%s %s: status %d", method, url, status)
	}
}

// until waits until check holds.
func (c *cloud) until(what string, check func() bool) {
	c.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	for !check() {
		select {
		case <-tick.C:
		case <-over:
			c.t.Fatalf("waited for %s", what)
		}
	}
}
