package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bolide/test/bench"
	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

func benchCommand(f *flags) *cobra.Command {
	o := bench.DefaultOptions()
	var out string
	cmd := &cobra.Command{
		Use:   "bench [NODE...]",
		Short: "Measure Nova's own node and Bolide, one after the other, and compare",
		Long: `Measures the nodes (nova and bolide, unless named) in one fresh cloud, one after
the other, and prints a table; with two nodes it says how many times better the
second is.`,
		ValidArgs: []string{"nova", "bolide"},
		Args:      cobra.MatchAll(cobra.OnlyValidArgs, cobra.MaximumNArgs(2)),
		RunE: fresh(f, func(cmd *cobra.Command, nodes []string) error {
			if len(nodes) == 0 {
				nodes = []string{"nova", "bolide"}
			}
			return measure(cmd.Context(), f, nodes, o, out)
		}),
	}
	p := cmd.Flags()
	p.IntVar(&o.Starts, "starts", o.Starts, "starts of each node")
	p.IntVar(&o.Calls, "calls", o.Calls, "RPC calls for each window")
	p.IntVar(&o.Boots, "boots", o.Boots, "guests booted one after the other")
	p.IntVar(&o.Burst, "burst", o.Burst, "guests booted at once")
	p.StringVar(&out, "json", "", "file to write every measurement to")
	return cmd
}

func measure(ctx context.Context, f *flags, nodes []string, o bench.Options, out string) error {
	if out != "" {
		var err error
		if out, err = filepath.Abs(out); err != nil {
			return err
		}
	}
	cloud, err := bringUpCloud(ctx, f)
	if err != nil {
		return err
	}
	servers, err := api.NewServers(ctx, ground.ImageName, ground.FlavorName, ground.NetworkName)
	if err != nil {
		return err
	}
	limit, err := bench.MeasureLimit(ctx, ground.BrokerURL, o)
	if err != nil {
		return err
	}
	results := map[string]bench.Result{}
	for _, kind := range nodes {
		fmt.Println("measuring", kind)
		node := ground.Node{Kind: kind, Bolide: f.bolide}
		results[kind], err = bench.Run(ctx, bench.Target{
			Broker:    ground.BrokerURL,
			Host:      ground.HostName,
			Servers:   servers,
			Start:     func(ctx context.Context) error { return cloud.StartNode(ctx, node) },
			Wait:      func(ctx context.Context) error { return cloud.WaitNode(ctx, node) },
			Stop:      func() { cloud.StopNode(node) },
			Processes: func() ([]int, error) { return cloud.NodeProcesses(node) },
		}, o)
		if err != nil {
			return fmt.Errorf("measure %s: %w", kind, err)
		}
	}
	if out != "" {
		b, err := json.MarshalIndent(results, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(out, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	first, last := nodes[0], nodes[len(nodes)-1]
	if err := bench.Compare(os.Stdout, first, results[first], last, results[last]); err != nil {
		return err
	}
	limit.Print(os.Stdout)
	return nil
}
