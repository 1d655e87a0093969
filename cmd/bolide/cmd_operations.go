package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) operationsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:     "operations",
		Aliases: []string{"ops"},
		Short:   "List what runs and what ran, with the time of each step",
		Args:    cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			if follow {
				ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return a.followOperations(ctx)
			}
			var list status.OperationList
			printed, err := a.ask(cmd.Context(), "/v1/operations", &list)
			if err != nil || printed {
				return err
			}
			st := a.style(time.Now())
			for i := len(list.Finished) - 1; i >= 0; i-- {
				printOperation(a.out, st, &list.Finished[i])
			}
			for _, o := range list.Running {
				printOperation(a.out, st, &o)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print what happens from now on")
	a.addJSON(cmd)
	return cmd
}

// printOperation writes an operation, its steps and why it failed.
func printOperation(w io.Writer, st style, o *status.Operation) {
	result, took := st.paint(green, "done"), o.Ended.Sub(o.Started)
	switch {
	case o.Ended.IsZero():
		result, took = st.paint(bold, "runs"), st.now.Sub(o.Started)
	case o.Error != "":
		result = st.paint(red, "failed")
	}
	fmt.Fprintf(w, "%s  %s  %s after %s  %s  %s\n", o.Started.In(st.now.Location()).Format(time.DateTime), plain(o.Name),
		result, span(took), plain(o.Instance), st.paint(faint, plain(o.RequestID)))
	var steps []string
	for _, s := range o.History {
		steps = append(steps, plain(s.Step)+" "+span(time.Duration(s.Seconds*float64(time.Second))))
	}
	if o.Ended.IsZero() && o.Step != "" {
		now := plain(o.Step) + " " + span(st.now.Sub(o.StepStarted))
		if p := percent(o.Done, o.Total); p != "" {
			now += " " + p
		}
		steps = append(steps, st.paint(bold, now))
	}
	if len(steps) > 0 {
		fmt.Fprintf(w, "    %s\n", strings.Join(steps, " › "))
	}
	if o.Error != "" {
		fmt.Fprintf(w, "    %s\n", st.paint(red, plain(o.Error)))
	}
}

// followOperations prints events until ctx ends or the daemon stops.
func (a *app) followOperations(ctx context.Context) error {
	body, err := status.NewClient(a.socketPath()).Open(ctx, "GET", "/v1/events", nil)
	if err != nil {
		return noDaemon(err)
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		if a.json {
			if _, err := fmt.Fprintln(a.out, lines.Text()); err != nil {
				return err
			}
			continue
		}
		var e status.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		if _, err := io.WriteString(a.out, eventLine(a.style(e.Time.Local()), &e)); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return &exitError{exitNoDaemon, fmt.Errorf("the daemon went away")}
}

func eventLine(st style, e *status.Event) string {
	at := e.Time.In(st.now.Location()).Format(time.TimeOnly)
	if e.Operation == nil {
		return fmt.Sprintf("%s  %s\n", at, st.paint(yellow, "some events were lost"))
	}
	o := e.Operation
	what := ""
	switch e.Kind {
	case status.EventBegin:
		what = "begins"
	case status.EventStep:
		what = stepOf(o)
	case status.EventProgress:
		what = stepOf(o) + " " + percent(o.Done, o.Total)
	case status.EventEnd:
		what = st.paint(green, "done") + " after " + span(o.Ended.Sub(o.Started))
		if o.Error != "" {
			what = st.paint(red, "failed") + " after " + span(o.Ended.Sub(o.Started)) + ": " + plain(o.Error)
		}
	}
	return fmt.Sprintf("%s  %s  %s  %s\n", at, plain(o.Instance), plain(o.Name), what)
}
