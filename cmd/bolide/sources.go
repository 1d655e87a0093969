package main

import (
	"github.com/spf13/cobra"

	"bolide/agent/config"
)

// sources are --config-file and --config-dir in the order of the command line,
// which decides between files and directories.
type sources struct{ list []config.Source }

func (s *sources) addFlags(cmd *cobra.Command) {
	cmd.Flags().Var(sourceFlag{s, false}, "config-file", "configuration file; may be repeated, later ones win (default: nova.conf and nova-compute.conf where oslo.config looks for them)")
	cmd.Flags().Var(sourceFlag{s, true}, "config-dir", "directory whose *.conf files are read; may be repeated")
}

type sourceFlag struct {
	to  *sources
	dir bool
}

// Set implements pflag.Value.
func (f sourceFlag) Set(path string) error {
	if f.dir {
		f.to.list = append(f.to.list, config.Source{Dir: path})
	} else {
		f.to.list = append(f.to.list, config.Source{File: path})
	}
	return nil
}

func (f sourceFlag) String() string { return "" }

// Type implements pflag.Value; it is what the help shows.
func (f sourceFlag) Type() string {
	if f.dir {
		return "dir"
	}
	return "file"
}
