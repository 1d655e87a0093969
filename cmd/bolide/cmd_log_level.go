package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) logLevelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:       "log-level [LEVEL]",
		Short:     "Show how much the daemon logs, or change it until it starts again",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"error", "warning", "info", "debug", "trace"},
		RunE: action(func(cmd *cobra.Command, args []string) error {
			var now status.LogLevel
			if len(args) == 0 {
				printed, err := a.ask(cmd.Context(), "/v1/log-level", &now)
				if err != nil || printed {
					return err
				}
				_, err = fmt.Fprintln(a.out, now.Level)
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTimeout)
			defer cancel()
			err := status.NewClient(a.socketPath()).Put(ctx, "/v1/log-level", status.LogLevel{Level: args[0]}, &now)
			if err != nil {
				return noDaemon(err)
			}
			if a.json {
				return a.printJSON(now)
			}
			_, err = fmt.Fprintln(a.out, now.Level)
			return err
		}),
	}
	a.addJSON(cmd)
	return cmd
}
