package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) dumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dump",
		Short: "Print the stack of every goroutine of the daemon",
		Args:  cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), askTimeout)
			defer cancel()
			body, err := status.NewClient(a.socketPath()).Open(ctx, "GET", "/v1/debug/goroutines", nil)
			if err != nil {
				return noDaemon(err)
			}
			defer body.Close()
			_, err = io.Copy(a.out, body)
			return err
		}),
	}
}
