package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"bolide/agent/config"
	"bolide/rpc"
)

// flushLimit bounds the wait at the end of the process for notifications that the broker does not take.
const flushLimit = 5 * time.Second

// announcer sends notifications, in the forms that nova.conf asks for.
type announcer struct {
	notifier    *rpc.Notifier
	link        *rpc.Link // to a broker of their own; nil: they go where RPC goes
	host        string
	unversioned []string // topics; none: not sent in this form
	versioned   []string
}

func newAnnouncer(cfg *config.Config, link *rpc.Link, log *logrus.Entry) (*announcer, error) {
	a := &announcer{host: cfg.Default.Host}
	if cfg.Notifier.TransportURL != "" && len(cfg.Notifier.Driver) > 0 {
		o := rpcOptions(cfg, log)
		o.TransportURL, o.SendOnly, o.ProofInterval = cfg.Notifier.TransportURL, true, 0
		own, err := rpc.NewLink(o)
		if err != nil {
			return nil, fmt.Errorf("configure notifications: %w", err)
		}
		a.link, link = own, own
	}
	a.notifier = rpc.NewNotifier(rpc.NotifierOptions{Link: link, Drivers: cfg.Notifier.Driver, Retries: cfg.Notifier.Retry, Log: log})
	format := cfg.Notifications.NotificationFormat
	if format != "versioned" {
		a.unversioned = cfg.Notifier.Topics
	}
	if format != "unversioned" {
		a.versioned = cfg.Notifications.VersionedNotificationsTopics
	}
	return a, nil
}

// enabled says whether anybody may learn of what is announced.
func (a *announcer) enabled() bool { return a.notifier.Enabled() }

// run sends until ctx ends or, after close, until nothing waits.
func (a *announcer) run(ctx context.Context) error {
	if a.link == nil {
		return a.notifier.Run(ctx)
	}
	links, end := context.WithCancel(ctx)
	g, links := errgroup.WithContext(links)
	g.Go(func() error { return ignoreEnd(links, a.link.Run(links)) })
	g.Go(func() error {
		defer end()
		return a.notifier.Run(links)
	})
	return g.Wait()
}

// close gives what waits a little time to be sent.
func (a *announcer) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	return a.notifier.Close(ctx)
}

// tell sends the two forms of one event. A form without topics is not made; one without an event is none of Nova's.
func (a *announcer) tell(rc rpc.Context, old, new rpc.Notification) {
	old.Topics, old.Publisher = a.unversioned, "compute."+a.host
	new.Topics, new.Publisher = a.versioned, "nova-compute:"+a.host
	for _, n := range []rpc.Notification{old, new} {
		if n.Event != "" && len(n.Topics) > 0 {
			a.notifier.Notify(rc, n)
		}
	}
}
