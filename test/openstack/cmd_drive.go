package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bolide/test/openstack/ground"
	"bolide/test/openstack/ops"
)

func testCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "test [OPERATION...]",
		Short: "Bring the cloud up, drive the operations through Nova's API, take it down",
		Long: `Brings the cloud up, drives the operations through Nova's API (all that the
node is expected to pass, or those named), prints a line for each and
'N passed, N failed', and takes the cloud down again.`,
		RunE: fresh(f, drive),
	}
}

func drive(ctx context.Context, n ground.Node, names []string) error {
	chosen, err := ops.Select(n, names)
	if err != nil {
		return err
	}
	failed, err := ops.Run(ctx, os.Stdout, chosen)
	if err == nil && failed > 0 {
		err = fmt.Errorf("the node did not pass; its log is %s", n.Log())
	}
	return err
}
