// Package ops drives a compute node through Nova's API, one operation after the
// other, and checks what Nova, the guest, libvirt and the host say afterwards.
//
// To add an operation, write a method of Session in the file of its subject and
// put it into one of the lists in list.go. The basic operations act on the one
// guest that Session.guest makes at need; the further ones mostly make a small
// guest each (Session.withSmall), and leave nothing. So each can be run alone.
package ops

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// Op is one operation.
type Op struct {
	Name  string
	run   func(*Session, context.Context) error
	only  string        // the one node it makes sense for; "" for every node
	limit time.Duration // how long it may take; 0: timeout
}

// timeout bounds one operation that says nothing else; the slowest boots two guests
// after another.
const timeout = 5 * time.Minute

// Select returns those of all operations that have these names, in the order of
// all; without names, all that make sense for the node.
func Select(all []Op, n ground.Node, names []string) ([]Op, error) {
	var chosen []Op
	unknown := slices.Clone(names)
	for _, op := range all {
		if slices.Contains(names, op.Name) || len(names) == 0 && (op.only == "" || op.only == n.Kind) {
			chosen = append(chosen, op)
		}
		unknown = slices.DeleteFunc(unknown, func(s string) bool { return s == op.Name })
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no such operations: %s", strings.Join(unknown, ", "))
	}
	return chosen, nil
}

// Run runs the operations, prints a line for each and a sum, and returns how
// many failed. When one fails, the rest still runs.
func Run(ctx context.Context, out io.Writer, n ground.Node, chosen []Op) (failed int, err error) {
	servers, err := api.NewServers(ctx, ground.ImageName, ground.FlavorName, ground.NetworkName)
	if err != nil {
		return 0, err
	}
	s := &Session{Servers: servers, node: n}
	passed := 0
	for _, op := range chosen {
		start := time.Now()
		err := s.one(ctx, op)
		verdict, why := "PASS", ""
		if err != nil {
			verdict, why = "FAIL", "  "+strings.ReplaceAll(err.Error(), "\n", " ")
			failed++
		} else {
			passed++
		}
		_, _ = fmt.Fprintf(out, "%-36s %s %7.2f s%s\n", op.Name, verdict, time.Since(start).Seconds(), why)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
	}
	_, _ = fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	return failed, s.endPair(ctx)
}

func (s *Session) one(ctx context.Context, op Op) error {
	limit := op.limit
	if limit == 0 {
		limit = timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return op.run(s, ctx)
}

// Session is one run: what the operations share.
type Session struct {
	*api.Servers
	node ground.Node

	server  string                         // the guest most operations act on; "" when there is none
	broken  error                          // why there is none: tried once, lest every operation waits for it
	ports   []string                       // its ports, for when it is gone
	snapped string                         // the image that snapshot left for boot_from_snapshot
	port    string                         // the port that attach_interface left for detach_interface
	flavors int                            // made so far, for their names
	small   struct{ image, flavor string } // what small guests are made of; "" until the first
	spare   string                         // the small guest of onSpare; "" when there is none

	deleted      string   // the guest that soft_delete_and_restore left for soft_deleted_goes
	deletedPorts []string // its ports

	pair       *ground.Pair // the two further hosts; nil until an operation needs them
	pairBroken error        // why there are none: tried once
	traveller  string       // the guest that live_migrate_there_and_back left for live_migrate_aborted
}

// guest returns the guest that most operations act on, and boots it if there is
// none.
func (s *Session) guest(ctx context.Context) (string, error) {
	if s.broken != nil {
		return "", fmt.Errorf("no guest to act on: %w", s.broken)
	}
	if s.server != "" {
		return s.server, nil
	}
	v, err := s.Boot(ctx, "ops", api.Options{
		"user_data": api.UserData(greeting),
		"metadata":  map[string]any{"k": "v"},
	})
	if err != nil {
		s.broken = err
		return "", err
	}
	s.server = v.ID
	s.ports, err = s.portsOf(ctx, v.ID)
	return v.ID, err
}
