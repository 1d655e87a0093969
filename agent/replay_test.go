package agent

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	guestnet "bolide/agent/network"
	"bolide/hypervisor"
	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/network"
	"bolide/test/virt"
)

// theatre is a node on which recordings are played again: it is asked what Nova's own node was asked, with the
// identifiers of its own images and network in the place of those recorded.
type theatre struct {
	*node
	names map[string]string // identifiers by those recorded
	read  map[string]recording
	net   string // identifier of the network
	made  string // the last image that was to be made
	state string // of the guest: the vm_state that the last play left it in
}

// newTheatre starts the node, with images and a network.
func newTheatre(t *testing.T) *theatre {
	t.Helper()
	if testing.Short() {
		t.Skip("minutes under the race detector")
	}
	n := newNode(t, map[string]string{"DEFAULT.shutdown_timeout": "5"})
	n.conductor.fields = allFields
	n.tell(t, "both", n.conductor.listener())
	n.connectPorts(t)
	n.measure(t)
	made, err := n.neutron.AddNetwork(network.NetworkOptions{Name: "net1", Project: "project", CIDR: "10.77.0.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	th := &theatre{node: n, net: made, names: map[string]string{`"vm"`: `"here"`}, read: map[string]recording{}}
	for name, image := range map[string]string{
		"build": n.bootableImage(t, "tiny", nil), "image_larger_than_flavor_is_refused": n.largeImage(t), "boot_from_snapshot": n.bootableImage(t, "snapshot", nil),
	} {
		built := th.recorded(t, name).requests()[0]
		th.names[built.instance(t).Str("image_ref")] = image
		wanted, err := nova.DecodeList(built.Message.Args["requested_networks"])
		if err != nil {
			t.Fatal(err)
		}
		th.names[wanted[0].Str("network_id")] = made
	}
	return th
}

// largeImage is larger than the flavors' disks.
func (n *node) largeImage(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large")
	qemuImg(t, "create", "-q", "-f", "qcow2", path, "3G") // as the one recorded
	r, err := n.glance.Add("large", "qcow2", path, "project")
	if err != nil {
		t.Fatal(err)
	}
	return r.ID()
}

// recorded is the recording, which is read once.
func (th *theatre) recorded(t *testing.T, name string) recording {
	t.Helper()
	if _, ok := th.read[name]; !ok {
		if r, made := unrecorded[name]; made {
			th.read[name] = recording{made: []message{r.message(t, th.recorded(t, r.like).requests()[0])}}
		} else {
			th.read[name] = readRecording(t, name)
		}
	}
	return th.read[name]
}

// connectPorts lets Neutron see the taps that are made, for the length of the test.
func (n *node) connectPorts(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.neutron.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// play asks for everything that the recording asks for and returns what the node wrote.
func (th *theatre) play(t *testing.T, name string) []string {
	t.Helper()
	th.setScene(t, name)
	return th.perform(t, name)
}

// perform is play with the guest in whatever state it is.
func (th *theatre) perform(t *testing.T, name string) []string {
	t.Helper()
	th.cfg.Default.ShelvedOffloadTime = unrecorded[name].offload
	var out []string
	for _, m := range th.recorded(t, name).requests() {
		out = append(out, th.ask(t, m)...)
	}
	th.state = th.conductor.instance.Str("vm_state")
	if name != "resume" && th.power(t, th.uuid()) == nova.PowerRunning { // one that resumes says nothing again
		virt.Guest{UUID: th.uuid(), Console: filepath.Join(th.instanceDir(th.uuid()), "console.log")}.WaitConsole(t, virt.Banner)
	}
	return numbered(out)
}

// playOff is play with the guest switched off meanwhile, without Nova's knowing.
func (th *theatre) playOff(t *testing.T, name string) []string {
	t.Helper()
	th.setScene(t, name)
	if err := th.hypervisor.Destroy(within(t, patience), th.uuid()); err != nil {
		t.Fatal(err)
	}
	out := th.play(t, name)
	if err := th.hypervisor.Start(within(t, patience), th.uuid(), hypervisor.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return out
}

func (th *theatre) uuid() string { return th.conductor.instance.Str("uuid") }

// scenes are the recordings that bring a guest into a state.
var scenes = map[string]string{
	"active": "build", "stopped": "stop", "paused": "pause", "suspended": "suspend", "rescued": "rescue", "resized": "resize",
	"shelved": "shelve_and_stay", "shelved_offloaded": "shelve", "soft-delete": "soft_delete", "deleted": "delete",
}

// setScene brings the guest into the state that the recording begins in, if it is in another.
func (th *theatre) setScene(t *testing.T, name string) {
	t.Helper()
	recorded := th.recorded(t, name).requests()[0].instance(t)
	switch want := recorded.Str("vm_state"); {
	case th.state == want:
	case want == "building":
		if th.state != "" && th.state != "deleted" {
			th.perform(t, "delete")
		}
		th.conductor.instance = recorded.Clone()
		th.state = want
	default:
		th.play(t, scenes[want])
	}
	switch {
	case name == "detach_interface" && len(th.ports(t)) < 2:
		th.perform(t, "attach_interface")
	case name == "remove_fixed_ip" && len(th.ports(t)[0].FixedIPs()) < 2:
		th.perform(t, "add_fixed_ip")
	}
}

// ports are those of the guest's info cache.
func (th *theatre) ports(t *testing.T) guestnet.Info {
	t.Helper()
	vifs, err := guestnet.ParseInfo(nova.As[nova.Instance](th.conductor.instance).InfoCache().NetworkInfo())
	if err != nil {
		t.Fatal(err)
	}
	return vifs
}

// ask makes the request, and after it those that the node has made of itself on the way, and returns what was written.
func (th *theatre) ask(t *testing.T, m message) []string {
	t.Helper()
	args := m.translated(th.names)
	recorded, err := nova.Decode(args["instance"])
	if err != nil {
		t.Fatal(err)
	}
	if recorded.Str("vm_state") == "building" {
		th.conductor.instance = recorded.Clone()
	}
	for _, f := range []string{"task_state", "cleaned"} {
		th.conductor.instance.Set(f, recorded.Raw(f))
	}
	th.conductor.instance.ClearChanges()
	th.conductor.forget()
	before := th.conductor.instance.Clone()
	th.fit(t, args, nova.As[nova.Instance](before))
	th.request(t, m.Message.Method, args)
	for len(th.conductor.asked) > 0 {
		next := th.conductor.asked[0]
		th.conductor.asked = th.conductor.asked[1:]
		own := map[string]json.RawMessage{}
		for name, value := range next.args {
			own[name] = asJSON(t, value)
		}
		th.request(t, next.method, own)
	}
	return effective(th.conductor.lines, before)
}

// fit puts what there is here in the place of what only a recording had: the instance's record, the image that it is
// made from, the record of an image to be made, the port to be taken from it.
func (th *theatre) fit(t *testing.T, args map[string]json.RawMessage, i *nova.Instance) {
	t.Helper()
	args["instance"] = asJSON(t, i)
	if args["image"] != nil {
		id := i.ImageRef()
		if shelf := i.SystemMetadata()[shelvedImageKey]; shelf != "" {
			id = shelf
		}
		r, err := th.glance.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		args["image"] = asJSON(t, r)
	}
	if args["image_id"] != nil {
		th.made = th.newImage(t, nil)
		args["image_id"] = asJSON(t, th.made)
	}
	if id, ok := args["port_id"]; ok && string(id) != "null" {
		vifs := th.ports(t)
		args["port_id"] = asJSON(t, vifs[len(vifs)-1].ID)
	}
	if string(args["network_id"]) == `""` {
		args["network_id"] = asJSON(t, th.net)
	}
	if args["address"] != nil {
		ips := th.ports(t)[0].FixedIPs()
		args["address"] = asJSON(t, ips[len(ips)-1].Address)
	}
}

// request lets the node do what one message asks for, if it is for compute nodes, and waits until it has.
func (th *theatre) request(t *testing.T, method string, args map[string]json.RawMessage) {
	t.Helper()
	op := operationNamed(method)
	if op.do == nil {
		return
	}
	_, err := th.handler(op)(within(t, patience), &rpc.Request{
		Method: method, IsCall: true, Args: args, Context: rpc.AdminContext(),
	})
	if err != nil {
		t.Logf("%s: %v", method, err)
	}
}

// operationNamed is the operation of a method; none where it is not one of a compute node's.
func operationNamed(method string) operation {
	for _, make := range operations {
		if op := make(nil); op.method == method {
			return op
		}
	}
	return operation{}
}
