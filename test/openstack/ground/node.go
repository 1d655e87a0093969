package ground

import (
	"context"
	"fmt"
	"time"

	"bolide/test/openstack/api"
)

// Node is a program that serves as the compute node.
type Node struct {
	Kind   string // "bolide" or "nova"
	Bolide string // path of the binary; for "bolide" only
}

// nodeConf is the configuration that a deployment gives to a compute node.
const nodeConf = "/etc/nova/nova.conf"

// service runs the node with more configuration than nodeConf.
func (n Node) service(more ...string) (service, error) {
	files := conf(append([]string{nodeConf}, more...)...)
	switch n.Kind {
	case "bolide":
		return service{name: n.Kind, argv: command(n.Bolide, []string{"run"}, files)}, nil
	case "nova":
		return service{name: n.Kind, argv: command("nova-compute", files)}, nil
	}
	return service{}, fmt.Errorf("unknown node %q: it is bolide or nova", n.Kind)
}

// Log returns the path of the node's log, inside.
func (n Node) Log() string { return LogDir + "/" + n.Kind + ".log" }

// LogOn returns the path of the log of the node on one of the hosts of a Pair, inside.
func (n Node) LogOn(host string) string { return LogDir + "/" + n.Kind + "-" + host + ".log" }

// StartNode starts the compute node; it returns when the program runs, not when
// it serves.
func (c *Cloud) StartNode(ctx context.Context, n Node) error {
	s, err := n.service()
	if err != nil {
		return err
	}
	return c.processes.start(ctx, s)
}

// StopNode stops the compute node and waits for its end.
func (c *Cloud) StopNode(n Node) { c.processes.stop(n.Kind) }

// WaitNode waits until Nova can place guests on the node: its service is up, and
// the scheduler knows its host. It fails at once when the node ends.
func (c *Cloud) WaitNode(ctx context.Context, n Node) error {
	client, err := api.Connect(ctx)
	if err != nil {
		return err
	}
	s, err := n.service()
	if err != nil {
		return err
	}
	s.ready = hypervisorUp(client, HostName)
	return c.processes.wait(ctx, s)
}

// hypervisorUp is ready when Nova takes the node on a host for alive.
func hypervisorUp(client *api.Client, host string) func(context.Context) error {
	return func(ctx context.Context) error {
		var found struct {
			Hypervisors []struct {
				Name  string `json:"hypervisor_hostname"`
				State string
			}
		}
		// Not their details, for which Nova would call a node that may not
		// consume yet, and wait a minute for the answer.
		if err := client.Get(ctx, api.Compute+"/os-hypervisors", &found); err != nil {
			return err
		}
		for _, h := range found.Hypervisors {
			if h.Name == host && h.State == "up" {
				return nil
			}
		}
		return fmt.Errorf("the hypervisor of %s is not up, among %d", host, len(found.Hypervisors))
	}
}

// NodeUp starts the node and waits until guests can be placed on it.
func (c *Cloud) NodeUp(ctx context.Context, n Node) (time.Duration, error) {
	start := time.Now()
	if err := c.StartNode(ctx, n); err != nil {
		return 0, err
	}
	err := c.WaitNode(ctx, n)
	return time.Since(start), err
}
