package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

func upCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Bring the cloud up and leave it running",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return ensureUp(cmd.Context(), f) },
	}
}

func holdCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:    "hold",
		Short:  "Bring the cloud up and run it until stopped",
		Hidden: true, // it is what up starts
		Args:   cobra.NoArgs,
		RunE: fresh(f, func(cmd *cobra.Command, _ []string) error {
			if _, err := bringUp(cmd.Context(), f); err != nil {
				return err
			}
			if err := f.workDir().MarkReady(); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return nil
		}),
	}
}

func downCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Take the cloud down that is up",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.workDir().Down(cmd.Context()) },
	}
}

func shellCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "shell",
		Short: "Open a shell inside the cloud, bringing it up first if need be",
		Args:  cobra.NoArgs,
		RunE: ensured(f, func(_ *cobra.Command, _ []string) error {
			fmt.Println("Inside the cloud. Try: openstack server list · virsh list · bolide status · less /var/log/bolide.log")
			return inherit(f, "bash", "--norc")
		}),
	}
}

func execCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "exec COMMAND [ARGUMENT...]",
		Short: "Run a command inside the cloud that is up",
		Args:  cobra.MinimumNArgs(1),
		RunE: within(f, func(_ *cobra.Command, args []string) error {
			return inherit(f, args[0], args[1:]...)
		}),
	}
}

// inherit runs a command with this program's terminal, as the cloud's
// administrator, and with bolide in its PATH.
func inherit(f *flags, name string, args ...string) error {
	env := append(os.Environ(),
		"OS_AUTH_URL="+api.Identity, "OS_USERNAME="+api.User, "OS_PASSWORD="+api.Password, "OS_PROJECT_NAME="+api.Project,
		"OS_USER_DOMAIN_NAME="+api.Domain, "OS_PROJECT_DOMAIN_NAME="+api.Domain, "OS_REGION_NAME="+api.Region,
		"OS_IDENTITY_API_VERSION=3", `PS1=cloud:\w\$ `,
		"PATH="+filepath.Dir(f.bolide)+":"+os.Getenv("PATH"))
	if err := os.Setenv("PATH", filepath.Dir(f.bolide)+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	return syscall.Exec(path, append([]string{name}, args...), env)
}

// bringUp brings up the cloud with its compute node, and tells of the progress.
func bringUp(ctx context.Context, f *flags) (*ground.Cloud, error) {
	n := f.chosenNode()
	c, err := bringUpCloud(ctx, f)
	if err != nil {
		return nil, err
	}
	took, err := c.NodeUp(ctx, n)
	if err != nil {
		return nil, err
	}
	fmt.Printf("compute node %s is up after %.1f s\n", n.Kind, took.Seconds())
	return c, nil
}

func bringUpCloud(ctx context.Context, f *flags) (*ground.Cloud, error) {
	start := time.Now()
	fmt.Println("bringing up OpenStack; seconds since the start, and of each part:")
	return ground.Up(ctx, ground.Options{
		GuestKernel: f.kernel,
		Report: func(part string, took time.Duration) {
			fmt.Printf("%6.1f %6.1f  %s\n", time.Since(start).Seconds(), took.Seconds(), part)
		},
	})
}

// ensureUp starts a process that holds the cloud, unless one does, and shows
// what it says until the cloud is up.
func ensureUp(ctx context.Context, f *flags) error {
	return f.workDir().EnsureUp(ctx, "--dir", f.dir, "--node", f.node, "--bolide", f.bolide, "--kernel", f.kernel, "hold")
}
