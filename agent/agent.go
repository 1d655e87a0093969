package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
	"bolide/agent/config"
	"bolide/agent/journal"
	"bolide/agent/network"
	"bolide/agent/remote"
	"bolide/agent/resources"
	"bolide/agent/status"
	"bolide/agent/trace"
	"bolide/hypervisor"
	"bolide/imagecache"
	"bolide/imagecache/disk"
	"bolide/netplug"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// Agent is one compute node. Its parts are set by [New] and do not change.
type Agent struct {
	cfg     *config.Config
	log     *logrus.Entry
	profile nova.Profile
	local   localHost
	vendor  json.RawMessage // what every guest's metadata shows of the cloud's vendor

	link       *rpc.Link
	news       *announcer
	conductor  *nova.Conductor     // bound to the node's own context; an operation binds it to its request's
	peers      *nova.ComputeClient // the other hosts' services, bound likewise
	hypervisor *hypervisor.Host
	images     *imagecache.Cache
	disks      *disk.Tool
	remote     *remote.FS // of the other hosts, where guests move
	net        netplug.Plugger
	cloud      *cloud.Cloud
	ports      *network.Service
	resources  *resources.Tracker
	gauge      *diskGauge

	registration *registration
	metrics      *status.Metrics
	board        *status.Board
	traces       *trace.Sender    // nil: none are sent
	journal      *journal.Journal // opened by start
	hooks        Hooks            // of Run
	obstacle     obstacle         // nil: steps fail of themselves alone
	mending      *gate            // how many instances are recovered at a time
	absence      string           // why guests are off that ran when this service last did; set by start
	open         chan struct{}    // closed when requests are served
	openedAt     time.Time        // set before
	queues       *queues
	waiters      *waiters
	builds       *gate // how many guests are built at a time
	snapshots    *gate // how many are taken at a time
	outgoing     *gate // how many guests leave at a time while they run
	departures   *departures
	draining     *draining
	stopJobs     context.CancelCauseFunc
	deaf         context.Context // ends when no more requests are taken
	deafen       context.CancelFunc
	hurried      context.Context // ends when a stop is to cut work short
	hurry        context.CancelFunc
	reloadable   atomic.Pointer[config.Config] // cfg, with what was read again since
	powers       *powers
	suspects     *suspicions
	serials      *serialPorts
	serving      atomic.Bool
	started      time.Time
}

// unlimited stands for "no limit" where an option of 0 means that.
const unlimited = 1 << 30

// New makes an agent of a configuration. It connects to nothing yet.
func New(cfg *config.Config, log *logrus.Entry) (*Agent, error) {
	profile, err := nova.ProfileOf(cfg.Bolide.Release)
	if err != nil {
		return nil, err
	}
	link, err := rpc.NewLink(rpcOptions(cfg, log.WithField("part", "amqp")))
	if err != nil {
		return nil, fmt.Errorf("configure AMQP: %w", err)
	}
	news, err := newAnnouncer(cfg, link, log.WithField("part", "notifications"))
	if err != nil {
		return nil, err
	}
	services, err := cloud.New(cloudOptions(cfg, log.WithField("part", "cloud")))
	if err != nil {
		return nil, err
	}
	metrics, traces := status.NewMetrics(), trace.New(traceOptions(cfg, log.WithField("part", "trace")))
	life, stop := context.WithCancelCause(context.Background()) // ended by Run, which waits for the jobs
	a := &Agent{
		cfg: cfg, log: log, profile: profile,
		link:       link,
		news:       news,
		conductor:  nova.NewConductor(meteredCaller{link, metrics}, profile, cfg.Default.Host).With(rpc.AdminContext()),
		peers:      nova.NewComputeClient(meteredCaller{link, metrics}),
		hypervisor: hypervisor.New(hypervisorOptions(cfg, metrics, log.WithField("part", "libvirt"))),
		net:        netplug.New(plugOptions(cfg, log.WithField("part", "net"))),
		cloud:      services,
		metrics:    metrics,
		board:      status.NewBoard(status.BoardOptions{Metrics: metrics.Registry, Ended: traces.Ended}),
		traces:     traces,
		queues:     newQueues(life),
		waiters:    newWaiters(),
		powers:     &powers{},
		gauge:      newDiskGauge(log),
		suspects:   &suspicions{},
		serials:    &serialPorts{},
		mending:    newGate(recoverAtOnce),
		open:       make(chan struct{}),
		builds:     newGate(cfg.Default.MaxConcurrentBuilds),
		snapshots:  newGate(cfg.Default.MaxConcurrentSnapshots),
		outgoing:   newGate(cfg.Default.MaxConcurrentLiveMigrations),
		departures: &departures{},
		stopJobs:   stop,
	}
	// ended by windDown and by Hurry; under a context of Run both would end when a stop begins
	a.deaf, a.deafen = context.WithCancel(context.Background())
	a.hurried, a.hurry = context.WithCancel(context.Background())
	a.reloadable.Store(cfg)
	if a.disks, err = disk.New(diskOptions(cfg, log)); err != nil {
		return nil, err
	}
	if a.images, err = imagecache.New(cacheOptions(cfg, a.disks, log)); err != nil {
		return nil, fmt.Errorf("open the image cache: %w", err)
	}
	if a.remote, err = remote.New(remoteOptions(cfg)); err != nil {
		return nil, err
	}
	a.ports = network.New(services.Network(), cfg.Default.Host, networkOptions(cfg, log))
	tracker := resourceOptions(cfg)
	tracker.Placement, tracker.Probe = services.Placement(), probe{a}
	a.resources = resources.New(tracker, log.WithField("part", "resources"))
	metrics.Queues(a.queues)
	metrics.ImageCacheSize(a.images.Bytes)
	if a.draining, err = openDraining(cfg.Default.StatePath); err != nil {
		return nil, err
	}
	a.local = readLocalHost(cfg.Default.InstancesPath)
	if a.vendor, err = readVendorData(cfg); err != nil {
		return nil, err
	}
	a.registration = &registration{conductor: a.conductor, host: cfg.Default.Host, interval: cfg.Default.ReportInterval, log: log}
	return a, nil
}

// Run serves the host until ctx ends, and then stops in order: no new work, running work gets its time, and what
// is left is cancelled. The error says why the agent could not start or go on; a stop that was asked for is none.
func (a *Agent) Run(ctx context.Context, hooks Hooks) error {
	a.started, a.hooks = time.Now(), hooks
	// the links outlive ctx: running work needs them while it finishes
	links, closeLinks := context.WithCancel(context.WithoutCancel(ctx))
	defer closeLinks()
	g, links := errgroup.WithContext(links)
	g.Go(func() error { return ignoreEnd(links, a.link.Run(links)) })
	g.Go(func() error { return ignoreEnd(links, a.hypervisor.Run(links)) })
	g.Go(func() error { return a.news.run(links) })
	g.Go(func() error { a.traces.Run(links); return nil })
	g.Go(func() error { return ignoreEnd(links, a.serveStatus(links)) })
	g.Go(func() error {
		defer closeLinks()
		return a.life(ctx, links)
	})
	return g.Wait()
}

// LogRooms are the rooms that name themselves in the log's field "part".
func LogRooms() []string {
	return []string{"amqp", "cloud", "disk", "images", "libvirt", "net", "network", "notifications", "resources", "status", "trace"}
}

// Hooks tell the process's surroundings what the agent has come to.
type Hooks struct {
	Ready    func() // serving; optional
	Stopping func() // no longer serving; optional
	// Reload reads the configuration again and gives it to Agent.Reload; optional. The status socket asks for it.
	Reload func() error
	// Levels are how much each room logs, for the status socket to change; optional.
	Levels status.Levels
	// Step hears of every step that an operation on an instance begins, before it does; optional. The operation waits
	// until it returns.
	Step func(operation, instance, step string)
}

// life is everything between the links' coming up and their going down.
func (a *Agent) life(ctx, links context.Context) error {
	starting, stop := mergeEnd(ctx, links)
	defer stop()
	server, err := a.start(starting)
	if err != nil {
		a.stopJobs(errShutdown) // of the recovery
		return errors.Join(ignoreEnd(ctx, err), a.queues.stop(links))
	}
	if a.hooks.Ready != nil {
		a.hooks.Ready()
	}
	serving, end := mergeEnd(ctx, links)
	defer end()
	g, gctx := errgroup.WithContext(serving)
	g.Go(func() error { return a.registration.run(gctx) })
	g.Go(func() error { return a.periodic(gctx) })
	g.Go(func() error { return a.followGuests(gctx) })
	g.Go(func() error { return a.keepDrainingTold(gctx) })
	g.Go(func() error { return a.reportUntilTaken(gctx) })
	g.Go(func() error {
		if err := a.findLostBuilds(gctx); err != nil && gctx.Err() == nil {
			a.log.WithError(err).Warn("builds that a process before lost were not looked for")
		}
		return nil
	})
	g.Go(func() error {
		if err := a.findLostConfirmations(gctx); err != nil && gctx.Err() == nil {
			a.log.WithError(err).Warn("confirmations that a process before lost were not looked for")
		}
		return nil
	})
	g.Go(func() error { <-gctx.Done(); return nil })
	err = g.Wait()
	a.serving.Store(false)
	if a.hooks.Stopping != nil {
		a.hooks.Stopping()
	}
	err = errors.Join(ignoreEnd(serving, err), a.windDown(links, server))
	if unsent := a.news.close(links); unsent != nil {
		a.log.WithError(unsent).Warn("some notifications were not sent")
	}
	return err
}

// mergeEnd returns a context that ends with either of the two.
func mergeEnd(ctx, other context.Context) (context.Context, func()) {
	merged, cancel := context.WithCancelCause(ctx)
	release := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return merged, func() { release(); cancel(nil) }
}

// ignoreEnd makes nothing of an error that only says that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}
