package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) logLevelCommand() *cobra.Command {
	var room string
	cmd := &cobra.Command{
		Use:   "log-level [LEVEL]",
		Short: "Show how much the daemon logs, or change it until it starts again",
		Long: `Show how much the daemon logs, or change it until it starts or reads its
configuration again: error, warning, info, debug or trace. With --room it is the
level of one room, such as amqp, libvirt or images; else that of all of them.`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"error", "warning", "info", "debug", "trace"},
		RunE: action(func(cmd *cobra.Command, args []string) error {
			var now status.LogLevel
			err := a.change(cmd.Context(), func(ctx context.Context, c *status.Client) error {
				if len(args) == 0 {
					return c.Get(ctx, "/v1/log-level", &now)
				}
				return c.Put(ctx, "/v1/log-level", status.LogChange{Level: args[0], Room: room}, &now)
			})
			if err != nil {
				return err
			}
			return a.printLevels(&now, room)
		}),
	}
	cmd.Flags().StringVar(&room, "room", "", "of which the level is")
	_ = cmd.RegisterFlagCompletionFunc("room", a.completeRoom) // fails for a flag that is not there
	a.addJSON(cmd)
	return cmd
}

// printLevels writes the level of one room, or of everything and of the rooms that
// differ.
func (a *app) printLevels(now *status.LogLevel, room string) error {
	if a.json {
		return a.printJSON(now)
	}
	if room != "" {
		level, ok := now.Rooms[room]
		if !ok {
			return fmt.Errorf("no room %s logs there", room)
		}
		_, err := fmt.Fprintln(a.out, level)
		return err
	}
	if _, err := fmt.Fprintln(a.out, now.Level); err != nil {
		return err
	}
	for _, r := range slices.Sorted(maps.Keys(now.Rooms)) {
		if now.Rooms[r] != now.Level {
			if _, err := fmt.Fprintf(a.out, "%s %s\n", r, now.Rooms[r]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *app) completeRoom(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var now status.LogLevel
	err := a.change(context.Background(), func(ctx context.Context, c *status.Client) error { return c.Get(ctx, "/v1/log-level", &now) })
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(now.Rooms)), cobra.ShellCompDirectiveNoFileComp
}
