package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bolide/test/openstack/ground"
	"bolide/test/openstack/ops"
)

func testCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "test [OPERATION...]",
		Short: "Bring a cloud up, drive the operations through Nova's API, take it down",
		Long: `Brings a cloud up, drives the operations through Nova's API (all that the
node is expected to pass, or those named), prints a line for each and
'N passed, N failed', and takes the cloud down again.`,
		RunE: fresh(f, func(cmd *cobra.Command, names []string) error {
			if _, err := ops.Select(ops.All(), f.chosenNode(), names); err != nil {
				return err
			}
			if _, err := bringUp(cmd.Context(), f); err != nil {
				return err
			}
			return drive(f)(cmd, names)
		}),
	}
}

func opsCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "ops [OPERATION...]",
		Short: "Drive the operations in the cloud that is up",
		RunE:  within(f, drive(f)),
	}
}

func drive(f *flags) command {
	return func(cmd *cobra.Command, names []string) error {
		node := f.chosenNode()
		chosen, err := ops.Select(ops.All(), node, names)
		if err != nil {
			return err
		}
		failed, err := ops.Run(cmd.Context(), os.Stdout, node, chosen)
		if failed > 0 {
			err = errors.Join(err, fmt.Errorf("the node did not pass; what it said is in %s, at last:%s",
				filepath.Dir(f.workDir().Log(node.Kind)), said(node)))
		}
		return err
	}
}

// said is the end of a node's logs, on each host that it was on.
func said(n ground.Node) string {
	var all strings.Builder
	for _, path := range []string{n.Log(), n.LogOn("one"), n.LogOn("two")} {
		if _, err := os.Stat(path); err == nil {
			fmt.Fprintf(&all, "\n%s:\n%s", filepath.Base(path), lastLines(path, 40))
		}
	}
	return all.String()
}

// lastLines returns the end of a file, as an error message needs it.
func lastLines(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
