package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"bolide/agent"
	"bolide/agent/config"
)

// node is what the daemon runs.
type node interface {
	// Run returns when ctx has ended and running operations have had their time.
	Run(ctx context.Context, hooks agent.Hooks) error
}

// pulse is a node that knows whether it still does its work; systemd is told.
type pulse interface {
	// Alive says what stalled. It does not wait for anything.
	Alive() error
}

func newNode(c *config.Config, log *logrus.Entry) (node, error) { return agent.New(c, log) }

// daemonCommand is one "bolide run".
type daemonCommand struct {
	app       *app
	from      sources
	overrides map[string]string // options given as flags
	newNode   func(*config.Config, *logrus.Entry) (node, error)
}

func (a *app) runCommand() *cobra.Command {
	d := &daemonCommand{app: a, overrides: map[string]string{}, newNode: newNode}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Run the daemon in the foreground, with the configuration and the arguments that
nova-compute would be given.

SIGTERM and SIGINT stop it: running operations get graceful_shutdown_timeout to
finish; a second signal ends it at once. SIGHUP reads debug again and opens the
log file anew. SIGUSR2 writes the stack of every goroutine to standard error.`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) }),
	}
	d.from.addFlags(cmd)
	flags := cmd.Flags()
	for _, f := range []struct{ name, short, option, usage string }{
		{"debug", "d", "debug", "log at debug level"},
		{"json", "", "use_json", "log JSON, one object a line"},
		{"use-json", "", "use_json", "as --json"},
		{"use-stderr", "", "use_stderr", "log to standard error as well as to the log file"},
	} {
		flags.VarPF(&optionFlag{d.overrides, "DEFAULT." + f.option, "bool"}, f.name, f.short, f.usage).NoOptDefVal = "true"
	}
	flags.Var(&optionFlag{d.overrides, "DEFAULT.log_file", "file"}, "log-file", "log to a file")
	flags.Var(&optionFlag{d.overrides, "DEFAULT.log_dir", "dir"}, "log-dir", "directory of the log file")
	// Services' start scripts pass these to nova-compute; here they are accepted
	// and do nothing.
	for _, name := range []string{"use-syslog", "use-journal", "watch-log-file", "nodebug"} {
		flags.Bool(name, false, "accepted, and without effect")
		_ = flags.MarkHidden(name)
	}
	return cmd
}

// optionFlag is a flag that sets an option of nova.conf.
type optionFlag struct {
	to     map[string]string
	option string
	kind   string
}

// Set implements pflag.Value.
func (f *optionFlag) Set(v string) error { f.to[f.option] = v; return nil }
func (f *optionFlag) String() string     { return "" }

// Type implements pflag.Value; it is what the help shows.
func (f *optionFlag) Type() string { return f.kind }

func (d *daemonCommand) options() config.Options {
	return config.Options{Sources: d.from.list, Env: d.app.env, Overrides: d.overrides}
}

// run is the daemon's life: configuration, log, node, signals.
func (d *daemonCommand) run(ctx context.Context) error {
	// Signals are caught before anything is begun, so that none is lost.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	cfg, warnings, err := config.Load(d.options())
	if err != nil {
		return &exitError{exitConfig, fmt.Errorf("wrong configuration:\n  %s", strings.ReplaceAll(err.Error(), "\n", "\n  "))}
	}
	logger, reopen, err := newLogger(&cfg.Default.Logging, d.app.err)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	log := logrus.NewEntry(logger)
	for _, w := range warnings {
		log.WithFields(logrus.Fields{"option": w.Option, "from": w.From}).Warn(w.Text)
	}
	n, err := d.newNode(cfg, log)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	log.WithFields(logrus.Fields{"version": thisBuild().Version, "release": cfg.Bolide.Release, "host": cfg.Default.Host}).Info("starting")
	err = d.serve(ctx, stop, n, log, reopen)
	if err != nil {
		log.WithError(err).Error("ended")
		return &exitError{code: exitFailed}
	}
	log.Info("stopped")
	return nil
}

// serve runs the node with what surrounds it, and waits for all of it.
func (d *daemonCommand) serve(ctx context.Context, stop func(), n node, log *logrus.Entry, reopen func() error) error {
	around, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	signals := make(chan os.Signal, 4) // caught before the node is ready, so that none is lost
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)
	wg.Go(func() { d.handleSignals(around, signals, log, reopen) })
	// After the first signal to stop, a second one has its usual effect.
	defer context.AfterFunc(ctx, stop)()

	tell := notifier{log}
	alive := func() error { return nil }
	if p, ok := n.(pulse); ok {
		alive = p.Alive
	}
	wg.Go(func() { tell.watchdog(around, d.app.env, alive) })
	err := n.Run(ctx, agent.Hooks{Ready: tell.ready, Stopping: tell.stopping})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// handleSignals does what SIGHUP and SIGUSR2 ask for until ctx ends.
func (d *daemonCommand) handleSignals(ctx context.Context, signals <-chan os.Signal, log *logrus.Entry, reopen func() error) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s == syscall.SIGUSR2 {
				_ = pprof.Lookup("goroutine").WriteTo(d.app.err, 2) // where else could it be said?
				continue
			}
			d.reload(log, reopen)
		}
	}
}

// reload takes over what may change while the daemon runs.
func (d *daemonCommand) reload(log *logrus.Entry, reopen func() error) {
	if err := reopen(); err != nil {
		log.WithError(err).Error("the log file was not opened anew")
	}
	cfg, _, err := config.Load(d.options())
	if err != nil {
		log.WithError(err).Error("the configuration is wrong now; nothing was changed")
		return
	}
	log.Logger.SetLevel(levelOf(&cfg.Default.Logging))
	log.WithField("log_level", log.Logger.GetLevel().String()).Info("configuration read again; only the log level changes before a restart")
}
