// Command bolide is a compute-node agent that takes the place of OpenStack's
// nova-compute: "bolide run" is the daemon, the other verbs look into a running
// one through its local socket.
//
// Exit codes are part of the interface, see the help of the root command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bolide/agent/config"
)

// Exit codes. Scripts and the systemd unit rely on them.
const (
	exitOK       = 0
	exitFailed   = 1  // it did not work
	exitUsage    = 2  // wrong arguments
	exitNoDaemon = 3  // nothing answers on the socket
	exitUnwell   = 4  // the node answers and is not well, or differences are left
	exitConfig   = 78 // EX_CONFIG: the configuration is wrong; a restart does not help
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	a := &app{env: env, out: stdout, err: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		// Errors of our own commands are exitErrors: this one is cobra's.
		fmt.Fprintf(stderr, "bolide: %v\nSee 'bolide --help'.\n", err)
		return exitUsage
	}
	if exit.err != nil {
		fmt.Fprintf(stderr, "bolide: %v\n", exit.err)
	}
	return exit.code
}

// app is what the commands share.
type app struct {
	env      []string
	out, err io.Writer

	socket string // --socket; "" = as configured
	json   bool   // --json
}

const rootHelp = `Bolide is a compute-node agent in the place of OpenStack's nova-compute.

"bolide run" is the daemon. The other commands look into a running one through
its local socket, which root and the group "bolide" may use.

Exit codes: 0 done; 1 failed; 2 wrong arguments; 3 no daemon answers;
4 the node is not well, or an audit found
differences; 78 the configuration is wrong.`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "bolide",
		Short:         "A compute-node agent in the place of OpenStack's nova-compute",
		Long:          rootHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&a.socket, "socket", "", "path of the daemon's socket (default: as nova.conf says, else /run/bolide/status.sock)")
	root.AddCommand(
		a.runCommand(), a.statusCommand(), a.topCommand(), a.operationsCommand(), a.instancesCommand(), a.imagesCommand(),
		a.auditCommand(), a.domainXMLCommand(), a.consoleCommand(), a.drainCommand(), a.undrainCommand(),
		a.configCommand(), a.reloadCommand(), a.logLevelCommand(), a.debugCommand(), a.versionCommand(), a.manCommand(),
	)
	return root
}

// socketPath is where the daemon is asked.
func (a *app) socketPath() string {
	if a.socket != "" {
		return a.socket
	}
	return config.Socket(config.Options{Env: a.env})
}

// action makes a cobra function of one that returns our kinds of error.
func action(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := f(cmd, args)
		var exit *exitError
		if err == nil || errors.As(err, &exit) {
			return err
		}
		return &exitError{exitFailed, err}
	}
}
