// Package site is a whole small cloud on this machine, to try a compute node on:
// a private RabbitMQ and libvirtd, the control plane of package controller, and
// the bolide binary as its one node.
//
// It lives in an enclave (see there): Mount is its set-up, and Up is for the
// inside, where the services answer on their usual ports. The clients of package
// test/openstack/api find it there as they find an OpenStack.
//
// A Site owns its services and, through a supervisor's goroutine, the node, which
// is started again when it dies.
package site

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"bolide/test/broker"
	"bolide/test/controller"
	"bolide/test/controller/compute"
	"bolide/test/controller/identity"
	"bolide/test/controller/network"
	"bolide/test/enclave"
	"bolide/test/guest"
	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
	"bolide/test/virt"
)

// Inside, these are the node's.
const (
	StatePath   = "/var/lib/nova"             // with the instances below it
	Socket      = "/run/bolide/status.sock"   // of `bolide status`
	conf        = "/run/bolide/nova.conf"     // of the node
	tempDir     = "/run/tmp"                  // also for sockets: short
	guestDisk   = "/run/guest.qcow2"          // the image that guests boot from
	libvirtSock = "/run/libvirt/libvirt-sock" // where virsh looks, too
)

// host is the name of the node.
const host = "node1"

// Mount is the set-up of the enclave: what the site writes lies in memory or in
// the working directory.
func Mount(d enclave.Dir) error {
	if err := unix.Sethostname([]byte(host)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	for _, m := range []struct{ kind, target string }{
		{"sysfs", "/sys"}, // of this network; it hides the control groups as well
		{"tmpfs", "/run"}, {"tmpfs", "/var/lib"},
	} {
		if err := enclave.MountFS(m.kind, m.target, ""); err != nil {
			return err
		}
	}
	for _, dir := range []string{StatePath, tempDir, "/run/lock", "/run/libvirt", filepath.Dir(Socket), inDir(d, "log"), inDir(d, "state")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for source, target := range map[string]string{"state": StatePath, "log": ground.LogDir} {
		if err := unix.Mount(inDir(d, source), target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", target, err)
		}
	}
	return os.Chmod(tempDir, 0o777|os.ModeSticky)
}

func inDir(d enclave.Dir, name string) string { return filepath.Join(string(d), name) }

// Options of a Site; all are required.
type Options struct {
	Bolide string // the binary
	Kernel string // directory with the guests' kernel, see guest.Options
	// Report is called for each part that is up, by several goroutines at once.
	Report func(part string, took time.Duration)
}

// Site is the cloud. Its methods must be called inside the enclave.
type Site struct {
	o      Options
	broker *broker.Broker
	virt   *virt.Daemon
	node   *node

	controller *controller.Controller
	stop       context.CancelFunc
	ended      chan error // what became of the controller
}

// Up brings the site up. The caller must call Down, also after an error.
func Up(ctx context.Context, o Options) (*Site, error) {
	s := &Site{o: o}
	if err := os.Setenv("TMPDIR", tempDir); err != nil {
		return s, err
	}
	g, gctx := errgroup.WithContext(ctx)
	for part, start := range map[string]func(context.Context) error{
		"network": loopback, "message broker": s.startBroker, "libvirt": s.startLibvirt, "guest image": s.buildGuest,
	} {
		g.Go(func() error { return s.timed(gctx, part, start) })
	}
	if err := g.Wait(); err != nil {
		return s, err
	}
	if err := s.timed(ctx, "control plane", s.startController); err != nil {
		return s, err
	}
	return s, s.timed(ctx, "compute node", s.startNode)
}

func (s *Site) timed(ctx context.Context, part string, start func(context.Context) error) error {
	began := time.Now()
	if err := start(ctx); err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	s.o.Report(part, time.Since(began))
	return nil
}

// Down takes everything down, in the reverse order.
func (s *Site) Down() error {
	var errs []error
	if s.node != nil {
		errs = append(errs, s.node.end())
	}
	if s.stop != nil {
		s.stop()
		errs = append(errs, <-s.ended)
	}
	if s.virt != nil {
		errs = append(errs, s.virt.Close())
	}
	if s.broker != nil {
		errs = append(errs, s.broker.Close())
	}
	return errors.Join(errs...)
}

// loopback makes the one link work that a new network namespace has.
func loopback(context.Context) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func (s *Site) startBroker(context.Context) (err error) {
	s.broker, err = broker.Launch(broker.Options{})
	return err
}

// startLibvirt also puts the daemon's sockets where its clients look for them.
func (s *Site) startLibvirt(context.Context) (err error) {
	if err := virt.Missing(); err != nil {
		return err
	}
	if s.virt, err = virt.New(); err != nil {
		return err
	}
	u, err := url.Parse(s.virt.URI())
	if err != nil {
		return err
	}
	sockets := filepath.Dir(u.Query().Get("socket"))
	if err := unix.Mount(sockets, filepath.Dir(libvirtSock), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", sockets, err)
	}
	return nil
}

func (s *Site) buildGuest(ctx context.Context) error {
	return guest.Build(ctx, guest.Options{Kernel: s.o.Kernel, Out: guestDisk})
}

// addresses are the services' usual ones.
func addresses() (map[string]string, error) {
	out := map[string]string{"console": "127.0.0.1:6080"}
	for kind, endpoint := range map[string]string{
		"identity": api.Identity, "image": api.Image, "network": api.Network, "placement": api.Placement, "compute": api.Compute,
	} {
		u, err := url.Parse(endpoint)
		if err != nil {
			return nil, err
		}
		out[kind] = u.Host
	}
	return out, nil
}

func (s *Site) startController(ctx context.Context) error {
	at, err := addresses()
	if err != nil {
		return err
	}
	log := logrus.New()
	file, err := openLog("controller")
	if err != nil {
		return err
	}
	log.SetOutput(file)
	log.SetLevel(logrus.DebugLevel)
	s.controller, err = controller.New(controller.Options{
		Dir: filepath.Join(StatePath, "controller"), BrokerURL: s.broker.URL(), Wire: network.Bridges{},
		Password: api.Password, Addresses: at, Log: logrus.NewEntry(log),
	})
	if err != nil {
		return errors.Join(err, file.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.ended = stop, make(chan error, 1)
	go func() { s.ended <- errors.Join(s.controller.Run(running), file.Close()) }()
	if err := s.controller.WaitUp(ctx); err != nil {
		return err
	}
	return s.seed()
}

// seed makes what the cloud offers: the same as the real OpenStack of package
// ground.
func (s *Site) seed() error {
	who, err := s.controller.Identity.Issue(identity.Admin, identity.AdminProject)
	if err != nil {
		return err
	}
	if _, err := s.controller.Images.Add(ground.ImageName, "qcow2", guestDisk, who.ProjectID); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	_, err = s.controller.Network.AddNetwork(network.NetworkOptions{Name: ground.NetworkName, Project: who.ProjectID, CIDR: "10.77.0.0/24"})
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	_, err = s.controller.Compute.AddFlavor(compute.FlavorOptions{Name: ground.FlavorName, MemoryMB: 192, VCPUs: 1, RootGB: 1})
	return err
}

func (s *Site) startNode(ctx context.Context) error {
	text := s.controller.NodeConf(controller.NodeOptions{Host: host, StatePath: StatePath, Socket: Socket})
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	s.node = newNode(s.o.Bolide)
	return s.waitNode(ctx)
}

// nodeLimit bounds the wait for the node.
const nodeLimit = time.Minute

// waitNode waits until guests can be placed on the node.
func (s *Site) waitNode(ctx context.Context) error {
	client, err := api.Connect(ctx)
	if err != nil {
		return err
	}
	return api.Until(ctx, nodeLimit, func(ctx context.Context) (bool, error) {
		var found struct{ Hypervisors []struct{ State string } }
		if err := client.Get(ctx, api.Compute+"/os-hypervisors/detail", &found); err != nil {
			return true, err
		}
		if len(found.Hypervisors) == 1 && found.Hypervisors[0].State == "up" {
			return true, nil
		}
		return false, fmt.Errorf("it does not report; the end of its log:\n%s", s.node.logTail())
	})
}

// Log is the path of a log: of "bolide" or the "controller".
func Log(name string) string { return enclave.CurrentDir().Log(name) }

func openLog(name string) (*os.File, error) {
	return os.OpenFile(Log(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// Reachable says whether something answers at an address of the network.
func Reachable(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil || errors.Is(err, unix.ECONNREFUSED) // it answers that nobody listens
}
