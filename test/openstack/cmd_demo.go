package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

func demoCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Bring the cloud up, boot a guest, show its console and the node's status",
		Args:  cobra.NoArgs,
		RunE:  ensured(f, demo(f)),
	}
}

func demo(f *flags) command {
	return func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		servers, err := api.NewServers(ctx, ground.ImageName, ground.FlavorName, ground.NetworkName)
		if err != nil {
			return err
		}
		fmt.Println("\n$ openstack server create --image guest --flavor m1.tiny --network net1 demo")
		v, err := servers.Boot(ctx, "demo", nil)
		if err != nil {
			return err
		}
		fmt.Printf("%s is %s on %s, with address %s\n", v.ID, v.Status, v.Hypervisor, v.Address())

		fmt.Println("\n$ openstack console log show demo")
		if err := servers.Sees(ctx, v.ID, `guest: ready`); err != nil {
			return err
		}
		text, err := servers.ConsoleText(ctx, v.ID, 0)
		if err != nil {
			return err
		}
		fmt.Println(text)

		if f.node == "bolide" {
			fmt.Println("$ bolide status")
			status := exec.CommandContext(ctx, f.bolide, "status")
			status.Stdout, status.Stderr = os.Stdout, os.Stderr
			if err := status.Run(); err != nil {
				return fmt.Errorf("bolide status: %w", err)
			}
		}
		fmt.Print(`
The cloud is still up. What to try next:
  make shell       a shell inside it: openstack, virsh and bolide work there
  make down        take it down; nothing is left on this machine
`)
		return nil
	}
}
