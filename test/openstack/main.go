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

	"github.com/spf13/cobra"

	"bolide/test/enclave"
	"bolide/test/openstack/ground"
)

func main() {
	if enclave.CurrentStage() == enclave.AsInit {
		enclave.Init(ground.Mount)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	var inside *enclave.ExitError
	switch {
	case err == nil:
	case errors.As(err, &inside): // which said why itself
		os.Exit(inside.Code)
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
	kernel string
}

func root() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:           "cloud",
		Short:         "A real OpenStack on this machine, to try a compute node on",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			// Inside, the working directory may be another.
			for _, path := range []*string{&f.dir, &f.bolide, &f.kernel} {
				if *path, err = filepath.Abs(*path); err != nil {
					return err
				}
			}
			return nil
		},
	}
	p := cmd.PersistentFlags()
	p.StringVar(&f.dir, "dir", "build/openstack", "working directory; logs and configuration stay there")
	p.StringVar(&f.node, "node", "bolide", "the compute node: bolide or nova")
	p.StringVar(&f.bolide, "bolide", "build/bolide", "path of the bolide binary")
	p.StringVar(&f.kernel, "kernel", "build/guest-kernel", "directory with the guests' kernel, from .ci/deps openstack")
	cmd.AddCommand(
		testCommand(f), opsCommand(f), benchCommand(f), benchImagesCommand(f), benchImagesStepCommand(), compareCommand(f), demoCommand(f),
		upCommand(f), holdCommand(f), downCommand(f), shellCommand(f), execCommand(f),
	)
	return cmd
}

func (f *flags) workDir() enclave.Dir { return enclave.Dir(f.dir) }

func (f *flags) chosenNode() ground.Node { return ground.Node{Kind: f.node, Bolide: f.bolide} }

// command is a cobra command's work.
type command func(cmd *cobra.Command, args []string) error

// fresh does the work in a cloud of its own, which ends with it.
func fresh(f *flags, work command) command {
	return func(cmd *cobra.Command, args []string) error {
		if enclave.CurrentStage() == enclave.Outside {
			return enclave.Enter(cmd.Context(), f.workDir())
		}
		return work(cmd, args)
	}
}

// within does the work in the cloud that is up.
func within(f *flags, work command) command {
	return func(cmd *cobra.Command, args []string) error {
		if enclave.CurrentStage() == enclave.Outside {
			return enclave.Join(f.workDir())
		}
		return work(cmd, args)
	}
}

// ensured is within, after bringing the cloud up if none is.
func ensured(f *flags, work command) command {
	return func(cmd *cobra.Command, args []string) error {
		if enclave.CurrentStage() == enclave.Outside {
			if err := ensureUp(cmd.Context(), f); err != nil {
				return err
			}
		}
		return within(f, work)(cmd, args)
	}
}
