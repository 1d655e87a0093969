package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) instancesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "instances [UUID|NAME]",
		Aliases:           []string{"ps"},
		Short:             "List the instances of the node, or show one",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeInstance,
		RunE: action(func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				var d status.InstanceDetail
				printed, err := a.ask(cmd.Context(), "/v1/instances/"+url.PathEscape(args[0]), &d)
				if err == nil && !printed {
					printInstance(a.out, a.style(time.Now()), &d)
				}
				return err
			}
			var list status.InstanceList
			printed, err := a.ask(cmd.Context(), "/v1/instances", &list)
			if err == nil && !printed {
				printInstances(a.out, a.style(time.Now()), list.Instances)
			}
			return err
		}),
	}
	a.addJSON(cmd)
	return cmd
}

func printInstances(w io.Writer, st style, all []status.Instance) {
	var rows [][]string
	for _, i := range all {
		rows = append(rows, []string{
			plain(i.UUID), plain(i.Name), statesOf(st, &i), plain(i.PowerState),
			fmt.Sprint(i.VCPUs), itoa(i.MemoryMB), itoa(i.DiskGB), st.paint(yellow, plain(i.Problem)),
		})
	}
	st.table(w, []string{"INSTANCE", "DOMAIN", "STATE", "POWER", "VCPUS", "MIB", "GIB", ""}, rows)
}

func statesOf(st style, i *status.Instance) string {
	state := plain(i.VMState)
	if i.VMState == "error" {
		state = st.paint(red, state)
	}
	if i.TaskState != "" {
		state += "/" + plain(i.TaskState)
	}
	return state
}

func printInstance(w io.Writer, st style, d *status.InstanceDetail) {
	fmt.Fprintf(w, "%s  %s\n", st.paint(bold, plain(d.UUID)), plain(d.Name))
	fmt.Fprintf(w, "in Nova  %s\n", statesOf(st, &d.Instance))
	fmt.Fprintf(w, "libvirt  %s\n", domainState(d))
	if d.Directory != nil {
		fmt.Fprintf(w, "on disk  %s: %s\n", plain(d.Directory.Path), plain(strings.Join(d.Directory.Files, " ")))
	}
	fmt.Fprintf(w, "flavor   %d vCPUs, %d MiB memory, %d GiB disk\n", d.VCPUs, d.MemoryMB, d.DiskGB)
	if d.ConsoleLog != "" {
		fmt.Fprintf(w, "console  %s\n", plain(d.ConsoleLog))
	}
	problems := d.Problems
	if d.Problem != "" {
		problems = append([]string{d.Problem}, problems...)
	}
	for _, p := range problems {
		fmt.Fprintf(w, "problem  %s\n", st.paint(yellow, plain(p)))
	}
	var disks, ports [][]string
	for _, k := range d.Disks {
		disks = append(disks, []string{plain(k.Device), plain(k.Format), bytesOf(k.Size), bytesOf(k.Allocated), plain(k.Path), plain(k.Base)})
	}
	for _, p := range d.Ports {
		ports = append(ports, []string{plain(p.Device), plain(p.Bridge), plain(p.MAC), plain(strings.Join(p.Addresses, " ")), plain(p.ID)})
	}
	for _, t := range []struct {
		headings []string
		rows     [][]string
	}{
		{[]string{"DISK", "FORMAT", "SIZE", "ON HOST", "FILE", "BASE"}, disks},
		{[]string{"TAP", "BRIDGE", "MAC", "ADDRESSES", "PORT"}, ports},
	} {
		if len(t.rows) > 0 {
			fmt.Fprintln(w)
			st.table(w, t.headings, t.rows)
		}
	}
	for i, o := range d.Operations {
		if i == 0 {
			fmt.Fprintln(w)
		}
		printOperation(w, st, &o)
	}
}

// domainState is what libvirt says of a guest now, or said last.
func domainState(d *status.InstanceDetail) string {
	switch {
	case d.Domain == nil:
		return "last heard of as " + plain(d.PowerState)
	case d.Domain.Reason == "":
		return plain(d.Domain.State)
	}
	return plain(d.Domain.State) + " (" + plain(d.Domain.Reason) + ")"
}

// bytesOf writes a size with a binary unit.
func bytesOf(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n), -1
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}
