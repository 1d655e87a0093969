package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bolide/test/controller/site"
	"bolide/test/openstack/ground"
	"bolide/test/openstack/ops"
)

// opsCommand drives the basic operations that a real OpenStack is driven with, in a
// cloud of its own: one suite, two grounds.
func (f *flags) opsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ops [OPERATION...]",
		Short: "Bring a cloud up, drive the operations of the tests, take it down",
		RunE: func(cmd *cobra.Command, names []string) error {
			node := ground.Node{Kind: "bolide", Bolide: f.bolide}
			chosen, err := ops.Select(ops.Basic(), node, names)
			if err != nil {
				return err
			}
			return f.fresh(cmd.Context(), func(ctx context.Context) error {
				failed, err := ops.Run(ctx, os.Stdout, node, chosen)
				if err == nil && failed > 0 {
					err = fmt.Errorf("the node did not pass; what it said is in %s", site.Log("bolide"))
				}
				return err
			})
		},
	}
}
