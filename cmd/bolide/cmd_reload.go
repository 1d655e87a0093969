package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration again",
		Long: `Have the daemon read its configuration again, as SIGHUP does. What may change
while it runs takes effect: the log level, the limits of builds and snapshots at
a time, and how long is waited for guests and for Neutron. Running operations
keep what they began with; everything else waits for a restart. A configuration
that is wrong changes nothing.`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), askTimeout)
			defer cancel()
			if err := status.NewClient(a.socketPath()).Post(ctx, "/v1/reload"); err != nil {
				return noDaemon(err)
			}
			_, err := fmt.Fprintln(a.out, "read again")
			return err
		}),
	}
}
