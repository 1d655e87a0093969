package netplug

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/sirupsen/logrus"
)

const (
	// rounds bounds how often a change is compared and made anew because
	// another program changed the same rows.
	rounds = 10
	// letGo is long enough for an ovs-vswitchd that runs.
	letGo = 5 * time.Second
	// redial is the pause before a lost or refused connection is tried again,
	// on average; it lets an ovsdb-server restart.
	redial = 200 * time.Millisecond
)

// database is Open vSwitch's, spoken to in OVSDB's own protocol (RFC 7047).
//
// Each call has a connection of its own and reads the few rows that it is about.
// Ports are plugged seldom and a connection costs about a millisecond; for that,
// nothing has to be watched between calls, and a server that restarts is met
// like one that has just started.
//
// A port that is made is not waited for: its tap does not exist yet, and when it
// works is for Neutron to say. A port that is removed is, for a while:
// ovs-vswitchd has to let the link go before another can take its name.
type database struct {
	options OVSOptions
	letGo   time.Duration // how long a removal waits for ovs-vswitchd; 0 does not
	log     *logrus.Entry
}

var _ vswitch = (*database)(nil)

// Ensure implements vswitch.
func (d *database) Ensure(ctx context.Context, want switchState) error {
	return d.settle(ctx, func(ctx context.Context, s *session) ([]ovsdb.Operation, error) { return s.ensure(ctx, want) })
}

// Remove implements vswitch.
func (d *database) Remove(ctx context.Context, gone switchRemoval) error {
	removed := false
	return d.settle(ctx, func(ctx context.Context, s *session) ([]ovsdb.Operation, error) {
		ops, err := s.remove(ctx, gone)
		if err == nil && len(ops) == 0 && removed && d.letGo > 0 {
			return nil, d.awaitSwitch(ctx, s)
		}
		removed = removed || len(ops) > 0
		return ops, err
	})
}

// awaitSwitch waits until ovs-vswitchd has acted on all that the database says,
// or its time is over: one that does not run holds no links.
func (d *database) awaitSwitch(ctx context.Context, s *session) error {
	bounded, cancel := context.WithTimeout(ctx, d.letGo)
	defer cancel()
	err := s.awaitSwitch(bounded)
	if bounded.Err() != nil && ctx.Err() == nil {
		d.log.WithField("dur", d.letGo).Warn("ovs-vswitchd does not follow its database; is it running?")
		return nil
	}
	return err
}

// plan reads what is there and returns what to change; nothing, when all is as
// it should be.
type plan func(context.Context, *session) ([]ovsdb.Operation, error)

// settle makes changes until there are none to make.
func (d *database) settle(ctx context.Context, p plan) error {
	if d.options.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.options.Timeout)
		defer cancel()
	}
	for try := 0; ; try++ {
		err := d.try(ctx, p)
		var lost *lostError
		if !errors.As(err, &lost) {
			return err
		}
		if try == 0 {
			d.log.WithError(err).Warn("database of Open vSwitch is not reachable; trying again")
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(redial/2 + rand.N(redial)):
		}
	}
}

// try makes the changes over one connection.
func (d *database) try(ctx context.Context, p plan) error {
	s, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer s.client.Close()
	for range rounds {
		changes, err := p(ctx, s)
		if err != nil || len(changes) == 0 {
			return err
		}
		d.log.WithField("change", "change rows").Debug("changing the database of Open vSwitch")
		if _, err = s.transact(ctx, changes...); err != nil && !errors.Is(err, errConflict) {
			return err
		}
	}
	return fmt.Errorf("open vswitch: rows were changed by others %d times in a row", rounds)
}

// errConflict says that the database refused a change because a row that it
// rests on was changed meanwhile.
var errConflict = errors.New("conflict")

// lostError says that there is no connection to the database.
type lostError struct{ err error }

func (e *lostError) Error() string { return "open vswitch: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// session is one connection to the database.
type session struct {
	client client.Client
}

func (d *database) connect(ctx context.Context) (*session, error) {
	schema, err := model.NewClientDBModel("Open_vSwitch", map[string]model.Model{
		tableSwitch: &switchRow{}, tableBridge: &bridgeRow{}, tablePort: &portRow{}, tableInterface: &interfaceRow{},
	})
	if err != nil {
		return nil, fmt.Errorf("open vswitch: %w", err)
	}
	quiet := logr.Discard() // the library returns what it logs
	options := []client.Option{client.WithEndpoint(d.options.Connection), client.WithLogger(&quiet)}
	if d.options.TLS != (TLSFiles{}) {
		config, err := d.options.TLS.load()
		if err != nil {
			return nil, fmt.Errorf("open vswitch: %w", err)
		}
		options = append(options, client.WithTLSConfig(config))
	}
	c, err := client.NewOVSDBClient(schema, options...)
	if err != nil {
		return nil, fmt.Errorf("open vswitch: connection %q: %w", d.options.Connection, err)
	}
	if err := c.Connect(ctx); err != nil {
		return nil, &lostError{err}
	}
	return &session{client: c}, nil
}

// transact runs the operations as one transaction; all take place, or none.
func (s *session) transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	results, err := s.client.Transact(ctx, ops...)
	if err != nil {
		return nil, &lostError{err}
	}
	for _, r := range results {
		switch r.Error {
		case "":
		case "constraint violation", "referential integrity violation":
			return nil, fmt.Errorf("open vswitch: %w: %s", errConflict, r.Details)
		default:
			return nil, fmt.Errorf("open vswitch: %s: %s", r.Error, r.Details)
		}
	}
	if len(results) < len(ops) {
		return nil, fmt.Errorf("open vswitch: %d results of %d operations", len(results), len(ops))
	}
	return results, nil
}
