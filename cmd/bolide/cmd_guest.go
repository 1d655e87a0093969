package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bolide/agent/status"
)

func (a *app) domainXMLCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "domain-xml UUID|NAME",
		Short:             "Print an instance as libvirt has it",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeInstance,
		RunE: action(func(cmd *cobra.Command, args []string) error {
			return a.copyAnswer(cmd.Context(), a.out, "/v1/instances/"+url.PathEscape(args[0])+"/domain.xml")
		}),
	}
}

// copyAnswer writes the daemon's answer as it is.
func (a *app) copyAnswer(ctx context.Context, to io.Writer, path string) error {
	return a.change(ctx, func(ctx context.Context, c *status.Client) error {
		body, err := c.Open(ctx, "GET", path, nil)
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(to, body)
		return err
	})
}

// escape is the key that leaves a console: Ctrl-].
const escape = 0x1d

func (a *app) consoleCommand() *cobra.Command {
	var o status.ConsoleOptions
	cmd := &cobra.Command{
		Use:   "console UUID|NAME",
		Short: "Attach to an instance's serial console",
		Long: `Attach to an instance's serial console. On a terminal every key goes to the
instance but Ctrl-], which leaves it. One can be attached at a time; what Nova's
users see of the console's log is not touched.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeInstance,
		RunE: action(func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			console, err := status.NewClient(a.socketPath()).Console(ctx, args[0], o)
			if err != nil {
				return noDaemon(err)
			}
			defer console.Close()
			return a.attach(console, args[0])
		}),
	}
	cmd.Flags().BoolVar(&o.Force, "force", false, "take the console from who is attached")
	return cmd
}

// attach joins the terminal with the console until the escape key, or until the
// console ends. The end of what is typed from elsewhere, a file, does not end it.
func (a *app) attach(console io.ReadWriteCloser, name string) error {
	keyboard := int(os.Stdin.Fd())
	if term.IsTerminal(keyboard) {
		fmt.Fprintf(a.err, "attached to %s; Ctrl-] leaves\r\n", plain(name))
		before, err := term.MakeRaw(keyboard)
		if err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		defer func() {
			_ = term.Restore(keyboard, before)
			fmt.Fprintln(a.err)
		}()
	}
	left := make(chan struct{})
	go func() { // ends with the process at the latest: nothing interrupts a read of the keyboard
		if errors.Is(typeInto(console, os.Stdin), errLeft) {
			close(left)
			_ = console.Close()
		}
	}()
	_, err := io.Copy(a.out, console)
	select {
	case <-left:
		return nil
	default:
		return err
	}
}

// errLeft is that the escape key was pressed.
var errLeft = errors.New("left")

// typeInto sends keys to a console.
func typeInto(console io.Writer, keyboard io.Reader) error {
	buf := make([]byte, 1024)
	for {
		n, err := keyboard.Read(buf)
		for i, key := range buf[:n] {
			if key == escape {
				_, _ = console.Write(buf[:i])
				return errLeft
			}
		}
		if _, err := console.Write(buf[:n]); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
}

// completeInstance completes the names of the instances that are on the node.
func (a *app) completeInstance(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list status.InstanceList
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	if err := status.NewClient(a.socketPath()).Get(ctx, "/v1/instances", &list); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, i := range list.Instances {
		names = append(names, cobra.CompletionWithDesc(plain(i.UUID), plain(i.Name)), cobra.CompletionWithDesc(plain(i.Name), plain(i.VMState)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
