package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/broker"
	"bolide/test/controller/compute"
	"bolide/test/controller/identity"
	"bolide/test/controller/network"
)

var rabbit broker.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	rabbit.Close()
	os.Exit(code)
}

func quiet() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

// cloud is a control plane that runs, with a node that is played by the test.
type cloud struct {
	t *testing.T
	*Controller
	token   string
	stop    func() // ends the control plane and waits for it
	image   string
	flavor  string
	network string
}

// newCloud runs a control plane whose data is in dir.
func newCloud(t *testing.T, dir string) *cloud {
	t.Helper()
	c, err := New(Options{Dir: dir, BrokerURL: rabbit.Get(t).URL(), Wire: network.NewInstant(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	wait, cancelWait := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancelWait()
	if err := c.WaitUp(wait); err != nil {
		t.Fatal(err)
	}
	who, err := c.Identity.Issue(identity.Admin, identity.AdminProject)
	if err != nil {
		t.Fatal(err)
	}
	cl := &cloud{t: t, Controller: c, token: who.Token, stop: stop}
	cl.seed(who.ProjectID)
	return cl
}

func (c *cloud) seed(project string) {
	c.t.Helper()
	file := c.t.TempDir() + "/image"
	if err := os.WriteFile(file, []byte("an image"), 0o644); err != nil {
		c.t.Fatal(err)
	}
	img, err := c.Images.Add("tiny", "raw", file, project)
	if err != nil {
		c.t.Fatal(err)
	}
	c.image = img.ID()
	if c.network, err = c.Network.AddNetwork(network.NetworkOptions{Name: "net1", Project: project, CIDR: "10.77.0.0/24"}); err != nil {
		c.t.Fatal(err)
	}
	if c.flavor, err = c.Compute.AddFlavor(compute.FlavorOptions{Name: "m1.tiny", MemoryMB: 192, VCPUs: 1, RootGB: 1}); err != nil {
		c.t.Fatal(err)
	}
}

// ask makes an HTTP request and reads the JSON answer into out, unless that is
// nil. It returns the status of a refusal; 0 = none.
func (c *cloud) ask(method, url string, in, out any) int {
	c.t.Helper()
	err := Client{Token: c.token, HTTP: http.DefaultClient}.Ask(c.t.Context(), method, url, in, out)
	var refused *Refusal
	if errors.As(err, &refused) {
		return refused.Status
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return 0
}

// must is ask for a request that has to succeed.
func (c *cloud) must(method, url string, in, out any) {
	c.t.Helper()
	if status := c.ask(method, url, in, out); status != 0 {
		c.t.Fatalf("%s %s: status %d", method, url, status)
	}
}

func (c *cloud) servers() string { return c.URL("compute") + "/servers" }

// boot asks for a server and returns its id.
func (c *cloud) boot(more map[string]any) string {
	c.t.Helper()
	server := map[string]any{
		"name": "ops", "imageRef": c.image, "flavorRef": c.flavor, "config_drive": true, "user_data": "IyE=", "metadata": map[string]string{"k": "v"},
		"networks": []any{map[string]string{"uuid": c.network}},
	}
	for name, value := range more {
		server[name] = value
	}
	var out struct{ Server struct{ ID string } }
	c.must(http.MethodPost, c.servers(), map[string]any{"server": server}, &out)
	return out.Server.ID
}

// act asks for an action on a server.
func (c *cloud) act(id, action string, arg any) {
	c.t.Helper()
	c.must(http.MethodPost, c.servers()+"/"+id+"/action", map[string]any{action: arg}, nil)
}

type server struct {
	Status string
	Task   any    `json:"OS-EXT-STS:task_state"`
	Host   string `json:"OS-EXT-SRV-ATTR:host"`
	Fault  struct{ Message string }
}

func (c *cloud) show(id string) server {
	c.t.Helper()
	var out struct{ Server server }
	c.must(http.MethodGet, c.servers()+"/"+id, nil, &out)
	return out.Server
}

// playedNode is a compute node of which the test plays the part.
type playedNode struct {
	t     *testing.T
	host  string
	uuid  string
	cond  *nova.Conductor
	asked chan *rpc.Request
}

// newNode registers a node and listens for what it is asked.
func (c *cloud) newNode(host string) *playedNode {
	c.t.Helper()
	o := rpc.DefaultOptions()
	o.TransportURL, o.Host, o.Log = rabbit.Get(c.t).URL(), host, quiet()
	link, err := rpc.NewLink(o)
	if err != nil {
		c.t.Fatal(err)
	}
	n := &playedNode{t: c.t, host: host, asked: make(chan *rpc.Request, 64)}
	methods := map[string]rpc.Handler{}
	for _, name := range computeMethods {
		methods[name] = func(_ context.Context, r *rpc.Request) (any, error) {
			n.asked <- r
			return answers[name], nil
		}
	}
	link.Serve("compute", rpc.Endpoint{Version: "6.1", Methods: methods}).Start()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- link.Run(ctx) }()
	c.t.Cleanup(func() { cancel(); <-ended })
	if err := link.WaitUp(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	n.cond = nova.NewConductor(link, nova.Zed(), host)
	n.register(c)
	return n
}

// answers of the calls that the test lets succeed.
var answers = map[string]any{"get_console_output": "a console", "get_host_uptime": "up", "validate_console_port": true}

var computeMethods = []string{
	"build_and_run_instance", "terminate_instance", "start_instance", "stop_instance", "reboot_instance", "pause_instance", "unpause_instance",
	"suspend_instance", "resume_instance", "rescue_instance", "unrescue_instance", "snapshot_instance", "shelve_instance", "unshelve_instance",
	"rebuild_instance", "prep_resize", "confirm_resize", "revert_resize", "external_instance_event", "get_console_output", "get_host_uptime",
	"set_admin_password", "detach_interface", "shelve_offload_instance",
}

// register does what a node does when it starts.
func (n *playedNode) register(c *cloud) {
	n.t.Helper()
	ctx := n.t.Context()
	s := nova.As[nova.Service](nova.Zed().New("Service"))
	for field, value := range map[string]any{"host": n.host, "binary": "nova-compute", "topic": "compute", "report_count": 0, "version": 64} {
		s.Set(field, value)
	}
	node := nova.As[nova.ComputeNode](nova.Zed().New("ComputeNode"))
	for field, value := range map[string]any{
		"host": n.host, "hypervisor_hostname": n.host, "vcpus": 4, "memory_mb": 4096, "local_gb": 100, "hypervisor_type": "QEMU", "cpu_info": "{}",
		"vcpus_used": 0, "memory_mb_used": 0, "local_gb_used": 0, "hypervisor_version": 7002000,
	} {
		node.Set(field, value)
	}
	if err := n.cond.CreateService(ctx, s); err != nil {
		n.t.Fatal(err)
	}
	s.Set("report_count", 1)
	if err := n.cond.SaveService(ctx, s); err != nil {
		n.t.Fatal(err)
	}
	if err := n.cond.CreateComputeNode(ctx, node); err != nil {
		n.t.Fatal(err)
	}
	n.uuid = node.Str("uuid")
	c.must(http.MethodPost, c.URL("placement")+"/resource_providers", map[string]string{"uuid": n.uuid, "name": n.host}, nil)
	c.must(http.MethodPut, c.URL("placement")+"/resource_providers/"+n.uuid+"/inventories", map[string]any{
		"resource_provider_generation": 0, "inventories": map[string]any{
			"VCPU": map[string]int{"total": 4}, "MEMORY_MB": map[string]int{"total": 4096}, "DISK_GB": map[string]int{"total": 100},
		},
	}, nil)
}

// expect waits for a request and returns it.
func (n *playedNode) expect(method string) *rpc.Request {
	n.t.Helper()
	for {
		select {
		case r := <-n.asked:
			if r.Method == method {
				return r
			}
			if r.Method != "external_instance_event" {
				n.t.Fatalf("asked for %s, want %s", r.Method, method)
			}
		case <-time.After(20 * time.Second):
			n.t.Fatalf("nobody asked for %s", method)
		}
	}
}

// save writes states of an instance as the node does at the end of a task.
func (n *playedNode) save(id string, changes map[string]any, e nova.Expect) {
	n.t.Helper()
	if err := n.trySave(id, changes, e); err != nil {
		n.t.Fatal(err)
	}
}

func (n *playedNode) trySave(id string, changes map[string]any, e nova.Expect) error {
	inst, err := n.cond.Instance(n.t.Context(), id, "system_metadata")
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for field, value := range changes {
		inst.Set(field, value)
	}
	return n.cond.SaveInstance(n.t.Context(), inst, e)
}

// activate plays the whole build of an instance.
func (n *playedNode) activate(id string) {
	n.t.Helper()
	n.save(id, map[string]any{"vm_state": "building", "task_state": nil}, nova.ExpectTask(nova.TaskScheduling, nova.NoTask))
	n.save(id, map[string]any{"host": n.host, "node": n.host, "launched_on": n.host}, nova.Expect{})
	n.save(id, map[string]any{"task_state": "spawning"}, nova.ExpectTask(nova.NoTask))
	n.save(id, map[string]any{
		"vm_state": "active", "task_state": nil, "power_state": 1, "launched_at": time.Now(),
	}, nova.ExpectTask(nova.TaskSpawning))
}
