// Package faults breaks real things under a compute node and looks what becomes
// of its guests: the node itself is killed at every step of its operations, the
// broker, libvirtd and the control plane's services go away and come back.
//
// A Cloud is a private RabbitMQ and libvirtd with the control plane of package
// controller in this process, and an Open vSwitch where that is installed; a Node is
// the agent in a process of its own, which is this program again, so that it can be
// killed. All of it runs in a network namespace of its own.
package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"bolide/test/broker"
	"bolide/test/controller"
	"bolide/test/controller/compute"
	"bolide/test/controller/identity"
	"bolide/test/controller/network"
	"bolide/test/openvswitch"
	"bolide/test/virt"
)

// Cloud is the control plane and what else a node needs. It is shared by the
// tests, which use it one after the other.
type Cloud struct {
	Broker *broker.Broker
	Virt   *virt.Daemon
	Switch *openvswitch.Switch // nil: none is installed
	*controller.Controller

	dir   string
	token string
	http  http.Client
	stop  context.CancelFunc
	ended chan error

	project                    string // ID of its guests' owner
	image, flavor, bigger, net string // IDs
	obliging                   string // an image whose guests let go of their cards
	nets                       map[network.Connection]string

	mu      sync.Mutex
	disturb func(ctx context.Context, service, request string) error
}

// Up brings a cloud up. The caller must Close it, also after an error.
func Up() (*Cloud, error) {
	c := &Cloud{http: http.Client{Timeout: time.Minute}}
	var g errgroup.Group
	g.Go(func() (err error) { c.Broker, err = broker.Launch(broker.Options{}); return err })
	g.Go(func() (err error) { c.Virt, err = virt.New(); return err })
	wires := network.Wires{network.Bridges{}}
	if openvswitch.Missing() == nil {
		g.Go(c.startSwitch)
	}
	if err := g.Wait(); err != nil {
		return c, err
	}
	if c.Switch != nil {
		wires = append(wires, network.Switch{Database: c.Switch.Connection()})
	}
	// In the guests' directory: QEMU's user must reach the instances.
	c.dir = filepath.Join(c.Virt.Dir(), "cloud")
	log, err := c.openLog("controller")
	if err != nil {
		return c, err
	}
	c.Controller, err = controller.New(controller.Options{
		Dir: filepath.Join(c.dir, "controller"), BrokerURL: c.Broker.URL(), Wire: wires, Log: log, Disturb: c.interfere,
	})
	if err != nil {
		return c, err
	}
	running, stop := context.WithCancel(context.Background())
	c.stop, c.ended = stop, make(chan error, 1)
	go func() { c.ended <- c.Run(running) }()
	up, cancel := context.WithTimeout(running, time.Minute)
	defer cancel()
	if err := c.WaitUp(up); err != nil {
		return c, err
	}
	return c, c.seed()
}

// Close takes the cloud down.
func (c *Cloud) Close() error {
	var errs []error
	if c.stop != nil {
		c.stop()
		errs = append(errs, <-c.ended)
	}
	if c.Virt != nil {
		errs = append(errs, c.Virt.Close())
	}
	if c.Switch != nil {
		errs = append(errs, c.Switch.Close())
	}
	if c.Broker != nil {
		errs = append(errs, c.Broker.Close())
	}
	return errors.Join(errs...)
}

func (c *Cloud) openLog(name string) (*logrus.Entry, error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	log := logrus.New()
	log.SetOutput(f) // closed with the process
	log.SetLevel(logrus.DebugLevel)
	return logrus.NewEntry(log), nil
}

// seed makes what the cloud offers.
func (c *Cloud) seed() error {
	who, err := c.Identity.Issue(identity.Admin, identity.AdminProject)
	if err != nil {
		return err
	}
	c.token, c.project = who.Token, who.ProjectID
	if c.image, err = c.addImage("boot", "raw", virt.WriteBootDisk); err != nil {
		return err
	}
	if c.obliging, err = c.addImage("obliging", "raw", virt.WriteObligingBootDisk); err != nil {
		return err
	}
	c.nets = map[network.Connection]string{}
	for name, connection := range map[string]network.Connection{"net1": network.Bridged, "switched": network.Switched, "hybrid": network.Hybrid} {
		if c.nets[connection], err = c.Network.AddNetwork(network.NetworkOptions{
			Name: name, Project: who.ProjectID, CIDR: "10.77.0.0/24", Connection: connection,
		}); err != nil {
			return fmt.Errorf("network: %w", err)
		}
	}
	c.net = c.nets[network.Bridged]
	if c.flavor, err = c.Compute.AddFlavor(compute.FlavorOptions{Name: "small", MemoryMB: 32, VCPUs: 1, RootGB: 1}); err != nil {
		return fmt.Errorf("flavor: %w", err)
	}
	c.bigger, err = c.Compute.AddFlavor(compute.FlavorOptions{Name: "bigger", MemoryMB: 48, VCPUs: 1, RootGB: 1})
	return err
}

// addImage makes an image of the disk that write writes, and returns its ID.
func (c *Cloud) addImage(name, format string, write func(path string) error) (string, error) {
	disk := filepath.Join(c.dir, name+"."+format)
	if err := write(disk); err != nil {
		return "", err
	}
	img, err := c.Images.Add(name, format, disk, c.project)
	if err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	return img.ID(), nil
}

// Disturb has every request to the control plane go through f first, see
// controller.Options, until it is called again; nil disturbs nothing.
func (c *Cloud) Disturb(f func(ctx context.Context, service, request string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disturb = f
}

func (c *Cloud) interfere(ctx context.Context, service, request string) error {
	c.mu.Lock()
	f := c.disturb
	c.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx, service, request)
}
