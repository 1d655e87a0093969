package ground

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"bolide/test/enclave"
	"bolide/test/hosts"
	"bolide/test/openstack/api"
)

// Pair is two further compute hosts, "one" and "two", between which guests can move. They are on the cloud's physical
// network, with an agent of Neutron's and a node each, and reach the cloud's services on their own loopback. It is made
// inside, by any process there, and ends with that at the latest. Its methods are for one goroutine at a time.
type Pair struct {
	*hosts.Pair
	client    *api.Client
	processes processes
	nodes     map[*hosts.Host]Node // that serve
}

// reached are the services that hosts speak to.
var reached = []string{"127.0.0.1:5672", "127.0.0.1:5000", "127.0.0.1:8774", "127.0.0.1:8778", "127.0.0.1:9292", "127.0.0.1:9696"}

// physical is the bridge behind the physical NICs of all hosts.
const physical = "physnet"

// NewPair brings the hosts up, both with this node, and waits until guests can be placed on them.
func NewPair(ctx context.Context, n Node) (*Pair, error) {
	client, err := api.Connect(ctx)
	if err != nil {
		return nil, err
	}
	h, err := hosts.New(hosts.Options{Dir: string(enclave.CurrentDir()), Services: reached})
	if err != nil {
		return nil, err
	}
	p := &Pair{Pair: h, client: client, nodes: map[*hosts.Host]Node{}}
	if err := p.up(ctx, n); err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}

func (p *Pair) up(ctx context.Context, n Node) error {
	if err := links(ctx, "link add "+physical+" type bridge", "link set "+physical+" up", "link set phys1 master "+physical); err != nil {
		return err
	}
	for _, h := range p.All() {
		if err := h.Plug("phys0", physical); err != nil {
			return err
		}
		if err := os.WriteFile(h.Path("host.conf"), []byte(hostConf(h)), 0o644); err != nil {
			return err
		}
		p.nodes[h] = n
	}
	var both errgroup.Group
	for _, h := range p.All() {
		both.Go(func() error {
			if err := p.start(ctx, h); err != nil {
				return err
			}
			return p.WaitUp(ctx, h)
		})
	}
	return both.Wait()
}

// hostConf is what differs from host to host, and from the cloud's own.
func hostConf(h *hosts.Host) string {
	return fmt.Sprintf(`[DEFAULT]
my_ip = %[1]s
state_path = %[2]s
[oslo_concurrency]
lock_path = %[2]s/lock
[libvirt]
live_migration_scheme = ssh
live_migration_inbound_addr = %[1]s
[bolide]
socket = %[2]s/bolide.sock
`, h.Address, hosts.StatePath)
}

// start starts the node and Neutron's agent on a host, and waits for the agent.
func (p *Pair) start(ctx context.Context, h *hosts.Host) error {
	node, err := p.node(h)
	if err != nil {
		return err
	}
	if err := p.processes.start(ctx, node); err != nil { // both come up at the same time
		return err
	}
	return p.processes.start(ctx, bridges(h))
}

// WaitUp waits until guests can be placed on a host.
func (p *Pair) WaitUp(ctx context.Context, h *hosts.Host) error {
	node, err := p.node(h)
	if err != nil {
		return err
	}
	node.ready = hypervisorUp(p.client, h.Name)
	return p.processes.wait(ctx, node)
}

// bridges is Neutron's agent on a host.
func bridges(h *hosts.Host) service {
	s := neutronBridges
	s.name += "-" + h.Name
	s.ready, s.host = agentReports("neutron-linuxbridge-agent", h.Name), h
	return s
}

// node is the node on a host.
func (p *Pair) node(h *hosts.Host) (service, error) {
	s, err := p.nodes[h].service(filepath.Join(hosts.StatePath, "host.conf"))
	s.name += "-" + h.Name
	s.host = h
	return s, err
}

// Serve has another node serve a host, and waits until it answers. If it is that node already, it does nothing.
func (p *Pair) Serve(ctx context.Context, h *hosts.Host, n Node) error {
	if p.nodes[h] == n {
		return nil
	}
	if err := p.stopNode(h); err != nil {
		return err
	}
	p.nodes[h] = n
	s, err := p.node(h)
	if err != nil {
		return err
	}
	s.ready = p.tellsUptime(h)
	return p.processes.start(ctx, s)
}

// tellsUptime is ready when the node on a host answers: Nova's records alone could be its predecessor's.
func (p *Pair) tellsUptime(h *hosts.Host) func(context.Context) error {
	return func(ctx context.Context) error {
		var found struct{ Hypervisors []struct{ Uptime string } }
		err := p.client.Get(ctx, api.Compute+"/os-hypervisors/detail?hypervisor_hostname_pattern="+h.Name, &found)
		if err == nil && (len(found.Hypervisors) != 1 || found.Hypervisors[0].Uptime == "") {
			err = fmt.Errorf("hypervisors named %s: %+v", h.Name, found.Hypervisors)
		}
		return err
	}
}

func (p *Pair) stopNode(h *hosts.Host) error {
	s, err := p.node(h)
	if err == nil {
		p.processes.stop(s.name)
	}
	return err
}

// Die ends everything that runs on a host at once, as a loss of power does.
func (p *Pair) Die(h *hosts.Host) error {
	if err := h.Die(); err != nil {
		return err
	}
	p.processes.stop(bridges(h).name)
	return p.stopNode(h)
}

// Return starts everything again on a host that has died, but for its guests. It does not wait for the node: Nova may be
// told that it is down.
func (p *Pair) Return(ctx context.Context, h *hosts.Host) error {
	if err := h.Return(); err != nil {
		return err
	}
	return p.start(ctx, h)
}

// Close takes the hosts down and has the cloud forget them. No guest may be left on them.
func (p *Pair) Close(ctx context.Context) error {
	var errs []error
	for _, h := range p.All() {
		errs = append(errs, p.Die(h), p.forget(ctx, h))
	}
	return errors.Join(append(errs, p.Pair.Close(), links(ctx, "link del "+physical))...)
}

// forget removes what the cloud's services know of a host.
func (p *Pair) forget(ctx context.Context, h *hosts.Host) error {
	var known struct{ Services, Agents []id }
	errs := []error{
		p.client.Get(ctx, api.Compute+"/os-services?binary=nova-compute&host="+h.Name, &known),
		p.client.Get(ctx, api.Network+"/agents?host="+h.Name, &known),
	}
	for _, s := range known.Services {
		errs = append(errs, p.client.Delete(ctx, api.Compute+"/os-services/"+s.ID))
	}
	for _, a := range known.Agents {
		errs = append(errs, p.client.Delete(ctx, api.Network+"/agents/"+a.ID))
	}
	return errors.Join(errs...)
}

// links changes this network's links.
func links(ctx context.Context, commands ...string) error {
	for _, c := range commands {
		if err := run(ctx, "links", append([]string{"ip"}, strings.Fields(c)...)...); err != nil {
			return err
		}
	}
	return nil
}
