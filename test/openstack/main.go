// Command cloud runs a real OpenStack on this machine, in namespaces of its own,
// and drives a compute node through Nova's API: Bolide, or Nova's own for
// comparison. It needs root and the packages of `make deps-openstack`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bolide/test/openstack/ground"
)

func main() {
	if ground.CurrentStage() == ground.AsInit {
		ground.Init()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	var exit *ground.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit): // the program inside said why
		os.Exit(exit.Code)
	default:
		fmt.Fprintln(os.Stderr, "cloud:", err)
		os.Exit(1)
	}
}

// flags are common to all commands.
type flags struct {
	dir    string
	node   string
	bolide string
}

func (f *flags) workDir() (ground.Dir, error) {
	abs, err := filepath.Abs(f.dir)
	return ground.Dir(abs), err
}

func (f *flags) chosenNode() (ground.Node, error) {
	abs, err := filepath.Abs(f.bolide)
	return ground.Node{Kind: f.node, Bolide: abs}, err
}

func root() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:           "cloud",
		Short:         "A real OpenStack on this machine, to try a compute node on",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	p := cmd.PersistentFlags()
	p.StringVar(&f.dir, "dir", "build/cloud", "working directory; logs and configuration stay there")
	p.StringVar(&f.node, "node", "bolide", "the compute node: bolide or nova")
	p.StringVar(&f.bolide, "bolide", "build/bolide", "path of the bolide binary")
	cmd.AddCommand(testCommand(f))
	return cmd
}

// fresh runs work in a cloud of its own, which ends with it.
func fresh(f *flags, work func(ctx context.Context, n ground.Node, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		dir, err := f.workDir()
		if err != nil {
			return err
		}
		if ground.CurrentStage() == ground.Outside {
			return ground.Enter(ctx, dir)
		}
		node, err := f.chosenNode()
		if err != nil {
			return err
		}
		if _, err := bringUp(ctx, node); err != nil {
			return err
		}
		return work(ctx, node, args)
	}
}

// bringUp brings up the cloud with its compute node, and tells of the progress.
func bringUp(ctx context.Context, n ground.Node) (*ground.Cloud, error) {
	start := time.Now()
	tell := func(part string, took time.Duration) {
		fmt.Printf("  %5.1f s  %-22s (%.1f s)\n", time.Since(start).Seconds(), part, took.Seconds())
	}
	fmt.Println("bringing up OpenStack")
	c, err := ground.Up(ctx, tell)
	if err != nil {
		return nil, err
	}
	took, err := c.NodeUp(ctx, n)
	if err != nil {
		return nil, err
	}
	tell("compute node: "+n.Kind, took)
	return c, nil
}
