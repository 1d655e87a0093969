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
	// Hurry cuts short what runs, once ctx has ended.
	Hurry()
	// Reload takes over what may change while the node runs.
	Reload(*config.Config)
}

// pulse is a node that knows whether it still does its work; systemd is told.
type pulse interface {
	// Alive says what stalled. It does not wait for anything.
	Alive() error
}

func newNode(c *config.Config, log *logrus.Entry) (node, error) {
	if err := otherAgent("/proc", c.Default.Host); err != nil {
		return nil, err
	}
	return agent.New(c, log)
}

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
finish; a second signal cuts them short, and undoes them or leaves them to the
next start; a third one ends it at once. SIGHUP reads log level, limits and
timeouts again and opens the log file anew. SIGUSR2 writes the stack of every goroutine to standard error.`,
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
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)
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
	r := &running{daemonCommand: d, node: n, log: log, reopen: reopen, levels: newLevels(logger, agent.LogRooms())}
	if err := r.serve(ctx, signals); err != nil {
		log.WithError(err).Error("ended")
		return &exitError{code: exitFailed}
	}
	log.Info("stopped")
	return nil
}

// running is a node with what surrounds it.
type running struct {
	*daemonCommand
	node   node
	log    *logrus.Entry
	reopen func() error
	levels *levels

	reloading sync.Mutex
}

// serve runs the node, and waits for all of it.
func (r *running) serve(ctx context.Context, signals <-chan os.Signal) error {
	around, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() { r.handleSignals(around, signals, stop) })

	tell := notifier{r.log}
	alive := func() error { return nil }
	if p, ok := r.node.(pulse); ok {
		alive = p.Alive
	}
	wg.Go(func() { tell.watchdog(around, r.app.env, alive) })
	err := r.node.Run(ctx, agent.Hooks{Ready: tell.ready, Stopping: tell.stopping, Reload: r.reload, Levels: r.levels})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// handleSignals does what signals ask for until ctx ends.
func (r *running) handleSignals(ctx context.Context, signals <-chan os.Signal, stop func()) {
	stops := 0
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			switch s {
			case syscall.SIGUSR2:
				_ = pprof.Lookup("goroutine").WriteTo(r.app.err, 2) // where else could it be said?
			case syscall.SIGHUP:
				_ = r.reload() // it has logged what was wrong: there is nobody else to tell
			default:
				if stops++; stops == 1 {
					stop()
					continue
				}
				r.node.Hurry()
				signal.Reset(syscall.SIGTERM, os.Interrupt) // one more has its usual effect
			}
		}
	}
}

// reload takes over what may change while the daemon runs.
func (r *running) reload() error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	if err := r.reopen(); err != nil {
		r.log.WithError(err).Error("the log file was not opened anew")
	}
	cfg, _, err := config.Load(r.options())
	if err != nil {
		r.log.WithError(err).Error("the configuration is wrong now; nothing was changed")
		return fmt.Errorf("the configuration is wrong now and nothing was changed: %w", err)
	}
	r.levels.SetLevel("", levelOf(&cfg.Default.Logging))
	r.node.Reload(cfg)
	r.log.WithField("log_level", r.log.Logger.GetLevel().String()).Info("configuration read again: log level, limits and timeouts are as it says, the rest waits for a restart")
	return nil
}
