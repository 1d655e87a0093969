package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) debugCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "debug",
		Short: "Look inside the daemon, for a bug report",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.goroutinesCommand(), a.profileCommand(), a.bundleCommand())
	return cmd
}

func (a *app) goroutinesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "goroutines",
		Short: "Print the stack of every goroutine of the daemon",
		Args:  cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			return a.copyAnswer(cmd.Context(), a.out, "/v1/debug/goroutines")
		}),
	}
}

func (a *app) profileCommand() *cobra.Command {
	var out string
	var span time.Duration
	cmd := &cobra.Command{
		Use:       "profile [heap|cpu]",
		Short:     "Write a profile of the daemon's memory or CPU time, for 'go tool pprof'",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"heap", "cpu"},
		RunE: action(func(cmd *cobra.Command, args []string) error {
			kind := "heap"
			if len(args) > 0 {
				kind = args[0]
			}
			path := "/v1/debug/profile/" + kind
			if kind == "cpu" {
				path += fmt.Sprintf("?seconds=%g", span.Seconds())
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTimeout+span)
			defer cancel()
			body, err := status.NewClient(a.socketPath()).Open(ctx, "GET", path, nil)
			if err != nil {
				return noDaemon(err)
			}
			defer body.Close()
			if out == "" {
				out = "bolide-" + kind + ".pprof"
			}
			if err := writeFile(out, body); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s is written; look at it with: go tool pprof %s\n", out, out)
			return err
		}),
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (default bolide-KIND.pprof)")
	cmd.Flags().DurationVar(&span, "for", 10*time.Second, "how long the CPU is watched, up to 1m")
	return cmd
}

// writeFile makes a file that only its owner can read, of what is read.
func writeFile(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}
