// Command bolide-demo shows Bolide at work on a machine that has no OpenStack: a
// whole small cloud in namespaces of its own, with a client to use it.
//
//	bolide-demo            brings the cloud up, tells a guest's life, takes it down
//	bolide-demo --keep     leaves it running afterwards
//	bolide-demo boot web   … and the other verbs use it; `bolide-demo down` ends it
//
// It needs root and the packages that .ci/deps lists for it; it leaves nothing
// behind but its working directory.
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

	"bolide/test/controller/site"
	"bolide/test/enclave"
)

func main() {
	if enclave.CurrentStage() == enclave.AsInit {
		enclave.Init(site.Mount)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	var inside *enclave.ExitError
	switch {
	case err == nil:
	case errors.As(err, &inside): // which said why itself
		os.Exit(inside.Code)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "bolide-demo: interrupted")
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "bolide-demo:", err)
		os.Exit(1)
	}
}

// flags are common to all commands.
type flags struct {
	dir    string
	bolide string
	kernel string
	keep   bool
}

func root() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:           "bolide-demo",
		Short:         "Show Bolide at work on a small cloud of its own",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			// Inside, the working directory may be another.
			for _, path := range []*string{&f.dir, &f.bolide, &f.kernel} {
				absolute, err := filepath.Abs(*path)
				if err != nil {
					return err
				}
				*path = absolute
			}
			return nil
		},
		RunE: f.demo,
	}
	p := cmd.PersistentFlags()
	p.StringVar(&f.dir, "dir", "build/demo", "working directory; logs stay there")
	p.StringVar(&f.bolide, "bolide", "build/bolide", "path of the bolide binary")
	p.StringVar(&f.kernel, "kernel", "build/guest-kernel", "directory with the guests' kernel, from .ci/deps")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "leave the cloud running, for the other verbs")
	cmd.AddCommand(
		&cobra.Command{Use: "up", Short: "Bring the cloud up and leave it running", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return f.ensureUp(cmd.Context()) }},
		&cobra.Command{Use: "hold", Hidden: true, Args: cobra.NoArgs, RunE: f.hold}, // what up starts
		&cobra.Command{Use: "down", Short: "Take the cloud down; nothing is left", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return f.workDir().Down(cmd.Context()) }},
	)
	cmd.AddCommand(f.verbs()...)
	cmd.AddCommand(f.opsCommand())
	return cmd
}

func (f *flags) workDir() enclave.Dir { return enclave.Dir(f.dir) }

// command is a cobra command's work.
type command func(cmd *cobra.Command, args []string) error

// within does the work in the cloud, and brings it up first if it is not.
func (f *flags) within(work command) command {
	return func(cmd *cobra.Command, args []string) error {
		if enclave.CurrentStage() == enclave.Outside {
			if err := f.ensureUp(cmd.Context()); err != nil {
				return err
			}
			return enclave.Join(f.workDir())
		}
		return work(cmd, args)
	}
}
