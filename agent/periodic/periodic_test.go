package periodic

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
)

// start runs the tasks in a bubble of false time and returns what ends them.
func start(t *testing.T, o Options, tasks ...Task) (stop func(), hook *test.Hook) {
	t.Helper()
	logger, hook := test.NewNullLogger()
	logger.SetLevel(logrus.DebugLevel)
	o.Log = logrus.NewEntry(logger)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o, tasks...) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}, hook
}

func TestRunsAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		stop, _ := start(t, Options{}, Task{Name: "a", Interval: time.Minute, Do: func(context.Context) error {
			at = append(at, time.Since(began))
			time.Sleep(10 * time.Second) // the work takes time in the bubble
			return nil
		}})
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		stop()
		if len(at) != 2 || at[0] != time.Minute || at[1] != 2*time.Minute+10*time.Second {
			t.Errorf("ran at %v", at)
		}
	})
}

func TestFirstRun(t *testing.T) {
	for name, c := range map[string]struct {
		task  Task
		delay time.Duration
		most  time.Duration
	}{
		"at start":         {task: Task{AtStart: true}, most: 0},
		"within the delay": {delay: 20 * time.Second, most: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				first := make(chan time.Duration, 1)
				c.task.Name, c.task.Interval = name, time.Hour
				c.task.Do = func(context.Context) error { first <- time.Since(began); return nil }
				stop, _ := start(t, Options{Delay: c.delay}, c.task)
				if d := <-first; d > c.most {
					t.Errorf("first run after %v", d)
				}
				stop()
			})
		})
	}
}

func TestSwitchedOff(t *testing.T) {
	stop, _ := start(t, Options{}, Task{Name: "off", Interval: -1, Do: func(context.Context) error {
		t.Error("ran")
		return nil
	}})
	stop()
}

func TestLogsChangesOfOutcomeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		stop, hook := start(t, Options{}, Task{Name: "a", Interval: time.Second, Do: func(context.Context) error {
			runs++
			switch {
			case runs == 1:
				panic("first")
			case runs <= 3:
				return errors.New("away")
			}
			return nil
		}})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		stop()
		var levels []logrus.Level
		for _, e := range hook.AllEntries() {
			levels = append(levels, e.Level)
		}
		if len(levels) != 2 || levels[0] != logrus.WarnLevel || levels[1] != logrus.InfoLevel {
			t.Errorf("logged at %v in %d runs", levels, runs)
		}
	})
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := make(chan time.Duration, 1)
		stop, _ := start(t, Options{}, Task{Name: "slow", Interval: time.Hour, Limit: time.Minute, AtStart: true, Do: func(ctx context.Context) error {
			began := time.Now()
			<-ctx.Done()
			took <- time.Since(began)
			return ctx.Err()
		}})
		if d := <-took; d != time.Minute {
			t.Errorf("a run was given %v", d)
		}
		stop()
	})
}
