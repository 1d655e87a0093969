package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
)

// notifier tells systemd how the daemon is. Where the daemon was not started by
// systemd, all of it does nothing.
type notifier struct{ log *logrus.Entry }

func (n notifier) ready()    { n.tell(daemon.SdNotifyReady + "\nSTATUS=serving") }
func (n notifier) stopping() { n.tell(daemon.SdNotifyStopping + "\nSTATUS=finishing what runs") }

func (n notifier) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.WithError(err).Warn("systemd was not notified")
	}
}

// watchdog assures systemd that the daemon lives, at half of the time that the
// unit's WatchdogSec allows, as long as alive says so. It returns when ctx ends.
func (n notifier) watchdog(ctx context.Context, env []string, alive func() error) {
	limit, err := watchdogLimit(env, os.Getpid())
	if err != nil {
		n.log.WithError(err).Warn("no watchdog")
	}
	if limit <= 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		if err := alive(); err != nil {
			n.log.WithError(err).Error("stalled: systemd will start the daemon anew")
		} else {
			n.tell(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watchdogLimit reads what systemd put into the environment; 0 = no watchdog.
func watchdogLimit(env []string, pid int) (time.Duration, error) {
	usec := variable(env, "WATCHDOG_USEC")
	if usec == "" || variable(env, "WATCHDOG_PID") != "" && variable(env, "WATCHDOG_PID") != strconv.Itoa(pid) {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("WATCHDOG_USEC=%q is not a time", usec)
	}
	return time.Duration(n) * time.Microsecond, nil
}

func variable(env []string, name string) string {
	for _, e := range env {
		if len(e) > len(name) && e[:len(name)] == name && e[len(name)] == '=' {
			return e[len(name)+1:]
		}
	}
	return ""
}
