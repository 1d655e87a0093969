package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
	"bolide/test/openstack/records"
)

func compareCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "compare",
		Short: "Register Nova's own node and then Bolide, and compare what the control plane holds of them",
		Args:  cobra.NoArgs,
		RunE: fresh(f, func(cmd *cobra.Command, _ []string) error {
			return compare(cmd.Context(), f)
		}),
	}
}

// settleTimeout bounds the wait for a node to have told everything, including one answer that Nova waits a minute for in vain.
const settleTimeout = 3 * time.Minute

func compare(ctx context.Context, f *flags) error {
	cloud, err := bringUpCloud(ctx, f)
	if err != nil {
		return err
	}
	client, err := api.Connect(ctx)
	if err != nil {
		return err
	}
	var told []records.Records
	for _, kind := range []string{"nova", "bolide"} {
		r, err := register(ctx, cloud, client, ground.Node{Kind: kind, Bolide: f.bolide})
		if err != nil {
			return fmt.Errorf("register %s: %w", kind, err)
		}
		told = append(told, r)
	}
	return printDifferences(os.Stdout, told[0], told[1])
}

// register has a node register as nobody was here before, reads the records, and
// removes node and records.
func register(ctx context.Context, cloud *ground.Cloud, client *api.Client, node ground.Node) (r records.Records, err error) {
	defer cloud.StopNode(node)
	if _, err := cloud.NodeUp(ctx, node); err != nil {
		return nil, err
	}
	var unsettled error
	err = api.Until(ctx, settleTimeout, func(ctx context.Context) (bool, error) {
		r, unsettled = records.Read(ctx, client)
		return unsettled == nil, nil
	})
	if err != nil {
		return nil, errors.Join(err, unsettled)
	}
	cloud.StopNode(node)
	return r, client.Delete(ctx, api.Compute+"/os-services/"+r["service/id"])
}

func printDifferences(w io.Writer, nova, bolide records.Records) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"record", "nova", "bolide", "reason"})
	unexplained := 0
	for _, d := range records.Compare(nova, bolide) {
		if d.Reason == "" {
			unexplained++
		}
		t.AppendRow(table.Row{d.Path, d.First, d.Then, d.Reason})
	}
	fmt.Fprintf(w, "%s\n%d values of nova, %d of bolide, %d differ without a reason\n", t.Render(), len(nova), len(bolide), unexplained)
	if unexplained > 0 {
		return fmt.Errorf("%d records differ", unexplained)
	}
	return nil
}
