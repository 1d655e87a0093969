package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) drainCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Take no new guests on this node",
		Long: `Take no new guests on this node, beyond a restart of the daemon too. Guests that
are here stay and can be used, moved away and deleted. Builds under way end;
those that still come are given back to be built on another host, and so are
moves to this one. In Nova the service is disabled, for which the scheduler
passes the node by; a service that an administrator disabled there is left as it
is. 'bolide undrain' ends it, and so does enabling the service through Nova.`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			var s status.DrainState
			err := a.change(cmd.Context(), func(ctx context.Context, c *status.Client) error { return c.Put(ctx, "/v1/drain", nil, &s) })
			if err == nil {
				err = a.printDrain(&s)
			}
			if err != nil || !wait {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.awaitEmpty(ctx)
		}),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until no guest is left, and say so")
	a.addJSON(cmd)
	return cmd
}

func (a *app) undrainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undrain",
		Short: "Take new guests again",
		Args:  cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			var s status.DrainState
			err := a.change(cmd.Context(), func(ctx context.Context, c *status.Client) error { return c.Delete(ctx, "/v1/drain", &s) })
			if err != nil {
				return err
			}
			return a.printDrain(&s)
		}),
	}
	a.addJSON(cmd)
	return cmd
}

// change has the daemon do something.
func (a *app) change(ctx context.Context, do func(context.Context, *status.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return noDaemon(do(ctx, status.NewClient(a.socketPath())))
}

func (a *app) printDrain(s *status.DrainState) error {
	if a.json {
		return a.printJSON(s)
	}
	text := "takes new guests"
	if s.Draining {
		text = "drained: " + left(s.Instances)
	}
	if s.Problem != "" {
		text += "\n" + plain(s.Problem) + "; it is told again and again"
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}

// left says how many guests a drained node still has.
func left(guests int) string {
	switch guests {
	case 0:
		return "empty"
	case 1:
		return "1 guest is left"
	}
	return fmt.Sprintf("%d guests are left", guests)
}

// emptyPause is between two looks at whether a node is empty.
const emptyPause = time.Second

// awaitEmpty waits until the node has no guests, and says whenever there are fewer.
func (a *app) awaitEmpty(ctx context.Context) error {
	tick := time.NewTicker(emptyPause)
	defer tick.Stop()
	for said := -1; ; {
		var s status.Snapshot
		if err := a.change(ctx, func(ctx context.Context, c *status.Client) error { return c.Get(ctx, "/v1/status", &s) }); err != nil {
			return err
		}
		n := len(s.Instances)
		if s.Drain == nil {
			return fmt.Errorf("the node takes new guests again: somebody ended the drain")
		}
		if said >= 0 && n != said && !a.json {
			if _, err := fmt.Fprintln(a.out, left(n)); err != nil {
				return err
			}
		}
		if said = n; n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return &exitError{exitFailed, fmt.Errorf("%s; the node stays drained", left(n))}
		case <-tick.C:
		}
	}
}
