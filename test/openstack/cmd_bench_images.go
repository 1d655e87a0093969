package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bolide/test/bench/images"
)

func benchImagesCommand(f *flags) *cobra.Command {
	var o images.Options
	var out string
	cmd := &cobra.Command{
		Use:   "bench-images",
		Short: "Measure what Nova's own code and Bolide do for the root disk of a boot",
		Long: `Measures, with the same images, image service and disk, how Nova's own code and
Bolide bring the root disk of a boot into being, and prints a table. It needs
Nova's Python packages and no cloud.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Dir, o.Step = filepath.Join(f.dir, "bench-images"), []string{self, "bench-images-step"}
			r, err := images.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if out != "" {
				b, err := json.MarshalIndent(r, "", " ")
				if err != nil {
					return err
				}
				if err := os.WriteFile(out, append(b, '\n'), 0o644); err != nil {
					return err
				}
			}
			return r.Print(os.Stdout)
		},
	}
	p := cmd.Flags()
	p.IntVar(&o.Boots, "boots", 20, "boots from the cached image")
	p.IntVar(&o.Rounds, "rounds", 3, "conversions, of which the quickest counts")
	p.StringVar(&out, "json", "", "file to write every measurement to")
	return cmd
}

// benchImagesStepCommand is what bench-images starts for each measurement.
func benchImagesStepCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bench-images-step", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error { return images.Step(cmd.Context(), args, os.Stdout) },
	}
}
