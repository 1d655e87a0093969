// Package controller is a control plane in one process: identity, image,
// network, placement, key and compute services over HTTP, and conductor over a real
// RabbitMQ. Compute nodes find in it the peers they know, for tests and for
// trying them out; it is made for one machine and no load.
//
//	c, err := controller.New(controller.Options{Dir: dir, BrokerURL: url, Wire: network.NewInstant(), Log: log})
//	go c.Run(ctx)
//	os.WriteFile("nova.conf", []byte(c.NodeConf(controller.NodeOptions{…})), 0o600)
//
// What it knows is in one database file and a folder of images in Dir, and
// survives its end. Each service is a package below this one:
//
//	identity, image, network, placement, key    over HTTP, by Keystone's and the others' APIs
//	cell, conductor                             Nova's rows, and the RPC calls on them
//	compute                                     Nova's API, which casts to the nodes
//	store, web                                  what they share
//
// Run owns one goroutine for each HTTP service, one for AMQP and those of the
// network and compute services, and waits for them.
package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/compute"
	"bolide/test/controller/conductor"
	"bolide/test/controller/identity"
	"bolide/test/controller/image"
	"bolide/test/controller/key"
	"bolide/test/controller/network"
	"bolide/test/controller/placement"
	"bolide/test/controller/store"
)

// Options of a Controller.
type Options struct {
	// Dir is where the database and the images are. Required.
	Dir string
	// BrokerURL is the transport_url of the broker. Required.
	BrokerURL string
	// Wire is what happens to ports; required. See network.Instant,
	// network.Bridges and network.Switch.
	Wire network.Wire
	// Password is that of all users. Default "secret".
	Password string
	// Addresses are where the services listen, by the type in the catalog or
	// "console"; default a free port of the loopback for each.
	Addresses map[string]string
	Log       *logrus.Entry // required
	// Disturb stands before every request, for tests of faults: it may wait as long
	// as it likes, and where it returns an error that is the answer, over HTTP as
	// status 503. Service is the type in the catalog, or "conductor"; request is
	// method and path, or the object and its method. Optional.
	Disturb func(ctx context.Context, service, request string) error
}

// consoleProxy is where browsers find consoles; it is in no catalog.
const consoleProxy = "console"

// serviceTypes are the services with the paths of their endpoints.
var serviceTypes = []struct{ kind, name, path string }{
	{"identity", "keystone", "/v3"},
	{"image", "glance", ""},
	{"network", "neutron", ""},
	{"placement", "placement", ""},
	{"key-manager", "barbican", ""},
	{"compute", "nova", "/v2.1"},
	{consoleProxy, "", "/vnc_auto.html"},
}

// Controller is the control plane. Make one with New and call Run once.
type Controller struct {
	o         Options
	store     *store.Store
	listeners map[string]net.Listener
	handlers  map[string]http.Handler
	link      *rpc.Link

	// The services, for what a cloud begins with and for tests.
	Identity  *identity.Service
	Images    *image.Service
	Network   *network.Service
	Placement *placement.Service
	Keys      *key.Service
	Compute   *compute.Service
	Cell      *cell.DB
}

// New opens the database and the services' ports; Run serves them.
func New(o Options) (*Controller, error) {
	if o.Password == "" {
		o.Password = "secret"
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	c := &Controller{o: o, listeners: map[string]net.Listener{}}
	if err := errors.Join(c.open(), c.listen()); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := c.assemble(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *Controller) open() (err error) {
	c.store, err = store.Open(filepath.Join(c.o.Dir, "db"))
	return err
}

func (c *Controller) listen() error {
	for _, s := range serviceTypes {
		address := c.o.Addresses[s.kind]
		if address == "" {
			address = "127.0.0.1:0"
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("%s service: %w", s.kind, err)
		}
		c.listeners[s.kind] = l
	}
	return nil
}

// close lets go of what New opened.
func (c *Controller) close() error {
	var errs []error
	for _, l := range c.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	return errors.Join(errs...)
}

func (c *Controller) assemble() (err error) {
	catalog := []identity.Entry{}
	for _, s := range serviceTypes {
		if s.kind != consoleProxy {
			catalog = append(catalog, identity.Entry{Type: s.kind, Name: s.name, URL: c.URL(s.kind)})
		}
	}
	o := rpc.DefaultOptions()
	o.TransportURL, o.Host, o.ServiceName, o.Log = c.o.BrokerURL, "controller", "conductor", c.o.Log.WithField("part", "amqp")
	if c.link, err = rpc.NewLink(o); err != nil {
		return err
	}
	c.Identity = identity.New(identity.Options{Store: c.store, Password: c.o.Password, Catalog: catalog})
	if c.Images, err = image.New(image.Options{Store: c.store, Dir: filepath.Join(c.o.Dir, "images"), Authority: c.Identity}); err != nil {
		return err
	}
	c.Placement = placement.New(c.store, c.Identity)
	c.Keys = key.New(c.store, c.Identity)
	c.Cell = cell.New(cell.Options{Store: c.store, Profile: nova.Zed()})
	c.Compute = compute.New(compute.Options{
		DB: c.Cell, Caller: c.link, Authority: c.Identity, Catalog: catalog, Images: c.Images, Placement: c.Placement,
		Log: c.o.Log.WithField("part", "compute"),
	})
	c.Network = network.New(network.Options{
		Store: c.store, Authority: c.Identity, Wire: c.o.Wire, Notify: c.Compute.Notify,
	})
	c.Compute.Attach(c.Network)
	c.handlers = map[string]http.Handler{
		"identity": c.Identity, "image": c.Images, "network": c.Network, "placement": c.Placement, "compute": c.Compute,
		"key-manager": c.Keys, consoleProxy: c.Compute.ConsoleProxy(),
	}
	return nil
}

// URL is the endpoint of a service, by its type in the catalog; "console" is the
// address that consoles are opened at.
func (c *Controller) URL(kind string) string {
	for _, s := range serviceTypes {
		if s.kind == kind {
			return "http://" + c.listeners[kind].Addr().String() + s.path
		}
	}
	return ""
}

// Password is that of all users.
func (c *Controller) Password() string { return c.o.Password }

// WaitUp waits until conductor serves.
func (c *Controller) WaitUp(ctx context.Context) error { return c.link.WaitUp(ctx) }

// shutdownLimit bounds the wait for running HTTP requests at the end of Run.
const shutdownLimit = 5 * time.Second

// Run serves until ctx ends, and then closes the database. What failed first is
// the error; an end that was asked for is none.
func (c *Controller) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	server := c.link.Serve(conductor.Topic, c.disturbed(conductor.New(c.Cell).Endpoint()), c.Compute.Tasks())
	server.Start()
	g.Go(func() error { return asked(gctx, c.link.Run(gctx)) })
	g.Go(func() error { return c.Network.Run(gctx) })
	g.Go(func() error { return c.Compute.Run(gctx) })
	for kind, l := range c.listeners {
		h := &http.Server{Handler: c.disturbing(kind, c.handlers[kind]), ReadHeaderTimeout: time.Minute}
		g.Go(func() error {
			if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("%s service: %w", kind, err)
			}
			return nil
		})
		g.Go(func() error {
			<-gctx.Done()
			wait, cancel := context.WithTimeout(context.WithoutCancel(gctx), shutdownLimit)
			defer cancel()
			if h.Shutdown(wait) != nil {
				return h.Close()
			}
			return nil
		})
	}
	return errors.Join(g.Wait(), c.close())
}

// asked makes nothing of an error that only says that ctx has ended.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
