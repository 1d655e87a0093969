package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/config"
	"bolide/agent/status"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show or check the configuration",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.configShowCommand(), a.configCheckCommand())
	return cmd
}

func (a *app) configShowCommand() *cobra.Command {
	var changed bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the options in effect in the daemon, and where each came from",
		Args:  cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			var list status.ConfigList
			printed, err := a.ask(cmd.Context(), "/v1/config", &list)
			if err == nil && !printed {
				a.printSettings(list.Settings, func(s config.Setting) bool { return !changed || s.From != "default" })
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "leave out what is at its default")
	a.addJSON(cmd)
	return cmd
}

func (a *app) printSettings(all []config.Setting, show func(config.Setting) bool) {
	st := a.style(time.Now())
	section := ""
	for _, s := range all {
		if !show(s) {
			continue
		}
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(a.out, "%s\n", st.paint(bold, "["+section+"]"))
		}
		note := s.From
		if s.Unused != "" && s.From != "default" {
			note += ", not in use"
		}
		for _, v := range strings.Split(s.Value, "\n") {
			fmt.Fprintf(a.out, "%s = %s  %s\n", s.Name, plain(v), st.paint(faint, "# "+plain(note)))
		}
	}
}

// checkResult is what 'config check' finds.
type checkResult struct {
	Errors   []string         `json:"errors"`
	Warnings []config.Warning `json:"warnings"`
	Used     int              `json:"used"` // options that are set and take effect
}

func (a *app) configCheckCommand() *cobra.Command {
	var from sources
	cmd := &cobra.Command{
		Use:   "check [FILE…]",
		Short: "Say what a nova.conf means to Bolide: what is wrong, ignored or deprecated",
		Long: `Read the configuration as 'bolide run' would, without starting anything, and say
what in it is wrong, ignored, deprecated or unknown. The exit code is 78 when
'bolide run' would refuse it.`,
		RunE: action(func(_ *cobra.Command, args []string) error {
			from.list = append(from.list, config.Files(args...)...)
			return a.checkConfig(config.Options{Sources: from.list, Env: a.env})
		}),
	}
	from.addFlags(cmd)
	a.addJSON(cmd)
	return cmd
}

func (a *app) checkConfig(o config.Options) error {
	c, warnings, err := config.Load(o)
	result := checkResult{Errors: []string{}, Warnings: append([]config.Warning{}, warnings...)}
	if err != nil {
		result.Errors = strings.Split(err.Error(), "\n")
	}
	if c != nil {
		for _, s := range c.Settings() {
			if s.From != "default" && s.Unused == "" {
				result.Used++
			}
		}
	}
	if a.json {
		if err := a.printJSON(result); err != nil {
			return err
		}
	} else {
		a.printCheck(result)
	}
	if err != nil {
		return &exitError{code: exitConfig}
	}
	return nil
}

func (a *app) printCheck(r checkResult) {
	st := a.style(time.Now())
	for _, e := range r.Errors {
		fmt.Fprintf(a.out, "%s  %s\n", st.paint(red, "wrong     "), plain(e))
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(a.out, "%s  %s\n", st.paint(yellow, fmt.Sprintf("%-10s", w.Kind)), plain(w.String()))
	}
	fmt.Fprintf(a.out, "%d options set and used, %d wrong, %d warnings\n", r.Used, len(r.Errors), len(r.Warnings))
}
