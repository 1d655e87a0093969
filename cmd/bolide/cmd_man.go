package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand is for who makes packages, and hidden from others.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages of all commands into a directory",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: action(func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			// The same sources make the same pages: their date is that of the sources.
			date, err := sourceDate(variable(a.env, "SOURCE_DATE_EPOCH"))
			if err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{
				Title: "BOLIDE", Section: "1", Manual: "Bolide", Source: "Bolide " + thisBuild().Version, Date: &date,
			}, args[0])
		}),
	}
}

// sourceDate reads SOURCE_DATE_EPOCH (reproducible-builds.org); without it, it is
// today.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Now().UTC(), nil
	}
	var seconds int64
	if _, err := fmt.Sscan(strings.TrimSpace(epoch), &seconds); err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q is no time: %w", epoch, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
