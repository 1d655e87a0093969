package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/cloud/cloudtest"
	"bolide/agent/config"
	"bolide/agent/network"
	"bolide/agent/resources"
	"bolide/hypervisor"
	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/image"
	"bolide/test/controller/key"
	neutron "bolide/test/controller/network"
	"bolide/test/controller/placement"
	"bolide/test/controller/store"
	"bolide/test/controller/web"
	"bolide/test/virt"
)

// patience is how long tests wait for what should come soon.
const patience = time.Minute

// node is an agent for tests: its libvirt, disks and image cache are real and its own, its image and network services and
// Placement are small ones that keep what they are told, and the conductor is a recorder.
type node struct {
	*Agent
	tb        testing.TB
	conductor *recorder
	glance    *image.Service
	neutron   *neutron.Service
	barbican  *key.Service
	daemon    *virt.Daemon
	token     string // of the user that asks; "": nobody's
	// services is asked before the services answer a request; true: it has answered. Optional.
	services func(http.ResponseWriter, *http.Request) bool
}

// newNode starts a node with the given options, "section.option" to text, for the length of the test.
func newNode(t *testing.T, options map[string]string) *node {
	t.Helper()
	n := &node{tb: t, conductor: newRecorder(), daemon: virt.Start(t)}
	overrides := map[string]string{
		"DEFAULT.transport_url":  "rabbit://guest:guest@127.0.0.1:1/", // never connected to
		"DEFAULT.instances_path": filepath.Join(n.daemon.Dir(), "instances"),
		"DEFAULT.state_path":     t.TempDir(),
		"libvirt.virt_type":      "qemu", "libvirt.connection_uri": n.daemon.URI(), "libvirt.cpu_mode": "none",
	}
	for _, section := range []string{"placement", "neutron", "service_user"} { // not used: the services are the test's own
		overrides[section+".auth_type"], overrides[section+".auth_url"] = "password", "http://127.0.0.1:1/v3"
		overrides[section+".username"], overrides[section+".password"] = "node", "secret"
	}
	for name, value := range options {
		overrides[name] = value
	}
	cfg, _, err := config.Load(config.Options{SearchDirs: []string{}, Overrides: overrides, Hostname: "here", MyIP: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if n.Agent, err = New(cfg, quiet()); err != nil {
		t.Fatal(err)
	}
	n.Agent.conductor = nova.NewConductor(n.conductor, n.profile, cfg.Default.Host)
	n.peers = nova.NewComputeClient(n.conductor)
	n.cloud = cloudtest.Serve(t, n.makeServices(t)).Open()
	n.ports = network.New(n.cloud.Network(), cfg.Default.Host, networkOptions(cfg, n.log))
	tracker := resourceOptions(cfg)
	tracker.Placement, tracker.Probe = n.cloud.Placement(), probe{n.Agent}
	n.resources = resources.New(tracker, n.log)
	n.connect(t)
	return n
}

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	if testing.Verbose() {
		l.SetOutput(os.Stderr)
		l.SetLevel(logrus.DebugLevel)
	}
	return logrus.NewEntry(l)
}

// connect runs the agent's link to libvirt and, at the end, waits for what is queued.
func (n *node) connect(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.hypervisor.Run(ctx) }()
	t.Cleanup(func() {
		n.stopJobs(errShutdown)
		if err := n.queues.stop(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := n.images.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := n.hypervisor.WaitReady(within(t, patience)); err != nil {
		t.Fatal(err)
	}
}

func (n *node) makeServices(t *testing.T) http.Handler {
	t.Helper()
	dir := t.TempDir()
	kept, err := store.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	if n.glance, err = image.New(image.Options{Store: kept, Dir: filepath.Join(dir, "images")}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/image/", http.StripPrefix("/image", n.glance))
	mux.Handle("/placement/", http.StripPrefix("/placement", placement.New(kept, nil)))
	n.neutron = neutron.New(neutron.Options{Store: kept, Authority: anyone{}, Wire: neutron.Bridges{}, Notify: n.hear})
	n.barbican = key.New(kept, anyone{})
	mux.Handle("/key/", http.StripPrefix("/key", n.barbican))
	mux.Handle("/network/", http.StripPrefix("/network", n.neutron))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.services == nil || !n.services(w, r) {
			mux.ServeHTTP(w, r)
		}
	})
}

// anyone is an authority that lets everybody do everything.
type anyone struct{}

func (anyone) Who(string) (web.Who, bool) {
	return web.Who{ProjectID: "project", UserID: "user", Roles: []string{"admin"}}, true
}

// hear takes Neutron's word that a port is connected, as it comes through Nova's API.
func (n *node) hear(e neutron.Event) {
	n.waiters.deliver(eventKey{Instance: e.Instance, Name: e.Name, Tag: e.Port}, "completed")
}

// within is a context for something that should take no longer.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// boot starts the smallest guest and gives its instance, active, to the conductor.
func (n *node) boot(t *testing.T) virt.Guest {
	t.Helper()
	g := n.daemon.NewGuest(t, virt.GuestOptions{})
	n.define(t, g.XML)
	n.start(t, g)
	return g
}

// start starts a defined guest and waits until it runs.
func (n *node) start(t *testing.T, g virt.Guest) {
	t.Helper()
	n.startSaying(t, g, virt.Banner)
}

// startSaying is start for a guest that says something else then.
func (n *node) startSaying(t *testing.T, g virt.Guest, text string) {
	t.Helper()
	if err := n.hypervisor.Start(within(t, patience), g.UUID, hypervisor.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	g.WaitConsole(t, text)
	n.conductor.instance = n.newInstance(g.UUID)
}

func (n *node) define(t *testing.T, xml string) {
	t.Helper()
	if err := n.hypervisor.Define(within(t, patience), xml); err != nil {
		t.Fatal(err)
	}
}

// newInstance is the record of an active instance.
func (n *node) newInstance(uuid string) *nova.Object {
	i := n.profile.New("Instance")
	for field, value := range map[string]any{
		"id": 1, "uuid": uuid, "display_name": "guest", "hostname": "guest", "host": "here", "node": "here",
		"project_id": "project", "user_id": "user", "vm_state": "active", "task_state": nil, "power_state": 1,
		"image_ref": "11111111-1111-1111-1111-111111111111", "kernel_id": "", "ramdisk_id": "", "os_type": nil,
		"config_drive": "", "root_device_name": "/dev/vda", "ephemeral_gb": 0, "root_gb": 1, "memory_mb": 64, "vcpus": 1,
		"key_name": nil, "key_data": nil, "auto_disk_config": false, "user_data": nil, "availability_zone": "nova",
		"cleaned": false, "deleted": false, "deleted_at": nil, "launched_at": time.Unix(0, 0).UTC(), "created_at": time.Unix(0, 0).UTC(),
		"system_metadata": map[string]any{"image_disk_format": "raw", "image_container_format": "bare"},
		"metadata":        map[string]any{}, "numa_topology": nil, "info_cache": n.infoCache(uuid), "flavor": n.flavor(),
		"keypairs": n.profile.NewList("KeyPairList"), "pci_devices": n.profile.NewList("PciDeviceList"), "pci_requests": nil,
		"launch_index": 0, "tags": n.profile.NewList("TagList"), "device_metadata": nil, "trusted_certs": nil,
	} {
		i.Set(field, value)
	}
	i.ClearChanges()
	return i
}

func (n *node) infoCache(uuid string) *nova.Object {
	c := n.profile.New("InstanceInfoCache")
	c.Set("instance_uuid", uuid)
	c.Set("network_info", "[]")
	c.ClearChanges()
	return c
}

func (n *node) flavor() *nova.Object {
	f := n.profile.New("Flavor")
	for field, value := range map[string]any{
		"id": 1, "name": "tiny", "flavorid": "tiny", "memory_mb": 64, "vcpus": 1, "root_gb": 1, "ephemeral_gb": 0, "swap": 0,
		"rxtx_factor": 1.0, "vcpu_weight": 0, "extra_specs": map[string]any{}, "disabled": false, "is_public": true,
	} {
		f.Set(field, value)
	}
	f.ClearChanges()
	return f
}

// ask makes a request of the operation on the conductor's instance, in the task state that Nova's API has put it into,
// and returns what the node answers.
func (n *node) ask(t *testing.T, make func(*Agent) operation, state nova.TaskState, args map[string]any) (any, error) {
	t.Helper()
	inst := n.conductor.instance.Clone()
	if state != "" {
		inst.Set("task_state", string(state))
		inst.ClearChanges()
	}
	r := &rpc.Request{Method: make(n.Agent).method, IsCall: true, Args: map[string]json.RawMessage{}, Context: rpc.AdminContext()}
	if n.token != "" {
		r.Context["auth_token"] = n.token
	}
	for name, value := range map[string]any{"instance": inst} {
		r.Args[name] = asJSON(t, value)
	}
	for name, value := range args {
		r.Args[name] = asJSON(t, value)
	}
	return n.handler(make(n.Agent))(within(t, patience), r)
}

func asJSON(t *testing.T, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// power is the guest's power state as libvirt has it.
func (n *node) power(t *testing.T, uuid string) nova.PowerState {
	t.Helper()
	power, err := n.ownTask("look", uuid, rpc.AdminContext()).powerNow(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return power
}

// measure makes the node's resources known, so that they can be claimed.
func (n *node) measure(t *testing.T) {
	t.Helper()
	record, service := n.profile.New("ComputeNode"), n.profile.New("Service")
	for field, value := range map[string]any{"id": 1, "uuid": "55555555-5555-5555-5555-555555555555", "host": "here", "hypervisor_hostname": "here"} {
		record.Set(field, value)
	}
	service.Set("disabled", false)
	n.conductor.answers["ComputeNode.get_by_host_and_nodename"] = record
	n.conductor.answers["Service.get_by_compute_host"] = service
	if err := n.resources.Update(within(t, patience), n.Agent.conductor); err != nil {
		t.Fatal(err)
	}
}
