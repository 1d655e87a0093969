package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) topCommand() *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the status page again and again, in place",
		Args:  cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.top(ctx, every)
		}),
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "time between two pages")
	return cmd
}

// Control sequences of the screen: another page, and the cursor out of sight.
const (
	screenOpen  = "\x1b[?1049h\x1b[?25l"
	screenHome  = "\x1b[H"
	screenClear = "\x1b[J"
	lineClear   = "\x1b[K"
	screenClose = "\x1b[?25h\x1b[?1049l"
)

// top draws until ctx ends. A daemon that is away for a while is waited for.
func (a *app) top(ctx context.Context, every time.Duration) error {
	if a.style(time.Now()).width == 0 {
		return fmt.Errorf("top needs a terminal; use 'bolide status'")
	}
	fmt.Fprint(a.out, screenOpen)
	defer fmt.Fprint(a.out, screenClose)
	tick := time.NewTicker(max(every, 100*time.Millisecond))
	defer tick.Stop()
	for {
		var s status.Snapshot
		st := a.style(time.Now())
		page := []byte{}
		if _, err := a.ask(ctx, "/v1/status", &s); err != nil {
			page = fmt.Appendf(page, "%s\n", st.paint(red, plain(err.Error())))
		} else {
			page = statusPage(st, &s)
		}
		if ctx.Err() != nil {
			return nil
		}
		page = bytes.ReplaceAll(firstLines(page, st.height-1), []byte("\n"), []byte(lineClear+"\n"))
		if _, err := fmt.Fprintf(a.out, "%s%s%s", screenHome, page, screenClear); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// firstLines is as much of a page as fits on the screen; n ≤ 0 = all of it.
func firstLines(page []byte, n int) []byte {
	lines := bytes.SplitAfter(page, []byte("\n"))
	if n <= 0 || len(lines) <= n {
		return page
	}
	return bytes.Join(lines[:n], nil)
}
