package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bolide/agent/config"
)

// otherAgent is the error that a nova-compute runs for this host: two agents would
// both act on the same guests. One that runs for another host (its configuration
// says which), or in another network namespace, is let alone.
func otherAgent(proc, host string) error {
	here, err := os.Readlink(filepath.Join(proc, "self", "ns", "net"))
	if err != nil {
		return nil // without /proc nobody can be found
	}
	commands, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "cmdline"))
	if err != nil {
		return nil // the pattern is well-formed
	}
	for _, path := range commands {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		args, ok := novaComputeArguments(strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"))
		if !ok {
			continue
		}
		process := filepath.Dir(path)
		if there, err := os.Readlink(filepath.Join(process, "ns", "net")); err != nil || there != here {
			continue
		}
		if other := hostOf(filepath.Join(process, "root"), args); other == "" || other == host {
			return fmt.Errorf("nova-compute (process %s) runs for this host: stop it first, as with 'systemctl disable --now nova-compute'", filepath.Base(process))
		}
	}
	return nil
}

// novaComputeArguments are the arguments of a nova-compute, whether it was called
// itself or given to an interpreter.
func novaComputeArguments(argv []string) ([]string, bool) {
	for i, arg := range argv[:min(len(argv), 3)] {
		if filepath.Base(arg) == "nova-compute" {
			return argv[i+1:], true
		}
	}
	return nil, false
}

// hostOf is the host that a nova-compute with these arguments runs for, with its
// files below root; "" when that cannot be found out.
func hostOf(root string, args []string) string {
	var sources []config.Source
	for i, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok && i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "--config-file":
			sources = append(sources, config.Source{File: filepath.Join(root, value)})
		case "--config-dir":
			sources = append(sources, config.Source{Dir: filepath.Join(root, value)})
		}
	}
	c, _, err := config.Load(config.Options{Sources: sources})
	if err != nil {
		return ""
	}
	return c.Default.Host
}
