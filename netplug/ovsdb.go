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
// It does not wait for ovs-vswitchd to act on what the database says: the tap
// that the port is for does not exist yet, and when the port works is for
// Neutron to say.
type database struct {
	options OVSOptions
	log     *logrus.Entry
}

var _ vswitch = (*database)(nil)

// Ensure implements vswitch.
func (d *database) Ensure(ctx context.Context, want switchState) error {
	return d.settle(ctx, func(ctx context.Context, s *session) ([]ovsdb.Operation, error) { return s.ensure(ctx, want) })
}

// Remove implements vswitch.
func (d *database) Remove(ctx context.Context, gone switchRemoval) error {
	return d.settle(ctx, func(ctx context.Context, s *session) ([]ovsdb.Operation, error) { return s.remove(ctx, gone) })
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
