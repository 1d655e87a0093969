package netplug

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

func portState() switchState {
	return integration(switchPort{Name: tapName, Bridge: brInt, IDs: map[string]string{idInterface: portID}})
}

func portRemoval() switchRemoval { return switchRemoval{Owner: portID, Ports: []string{tapName}} }

// TestServerRestarts: a call that meets a server that is just restarting waits
// for it.
func TestServerRestarts(t *testing.T) {
	o := newOVS(t, newNamespace(t))
	d := o.database()
	if err := d.Ensure(t.Context(), portState()); err != nil {
		t.Fatal(err)
	}
	o.must(o.StopServer())
	done := make(chan error)
	go func() { done <- d.Remove(t.Context(), portRemoval()) }()
	select {
	case err := <-done:
		t.Fatalf("Remove returned while there was no server: %v", err)
	case <-time.After(redial):
	}
	o.must(o.StartServer())
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := sorted(o.describe()); got != "switch br-int netdev" {
		t.Errorf("left is %s", got)
	}
}

// TestServerAway: a call gives up when its time is over, or its context ends.
func TestServerAway(t *testing.T) {
	d := &database{log: Options{}.logger()}
	d.options.Connection = "unix:" + filepath.Join(t.TempDir(), "none.sock")
	d.options.Timeout = time.Millisecond
	var lost *lostError
	if err := d.Remove(t.Context(), portRemoval()); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &lost) {
		t.Errorf("error %v, want a lost connection and the deadline", err)
	}
	d.options.Timeout = 0
	ctx, cancel := context.WithCancelCause(t.Context())
	deleted := errors.New("deleted")
	cancel(deleted)
	if err := d.Ensure(ctx, portState()); !errors.Is(err, deleted) {
		t.Errorf("error %v, want %v", err, deleted)
	}
}

// TestRowsVanish: another program takes rows away between the question and the
// change; in the end all is as it should be.
func TestRowsVanish(t *testing.T) {
	o := newOVS(t, newNamespace(t))
	d := o.database()
	want := portState()
	for _, c := range []struct {
		name      string
		interfere []string
	}{
		{"bridge", []string{"--if-exists", "del-br", brInt}},
		{"port", []string{"--if-exists", "del-port", tapName}},
		{"same port", []string{"--may-exist", "add-port", brInt, tapName}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, change := range []func(context.Context, *session) ([]ovsdb.Operation, error){
				func(ctx context.Context, s *session) ([]ovsdb.Operation, error) { return s.ensure(ctx, want) },
				func(ctx context.Context, s *session) ([]ovsdb.Operation, error) { return s.remove(ctx, portRemoval()) },
			} {
				interfered := false
				err := d.settle(t.Context(), func(ctx context.Context, s *session) ([]ovsdb.Operation, error) {
					ops, err := change(ctx, s)
					if !interfered {
						interfered = true
						if c.interfere[0] == "--may-exist" {
							o.vsctl("--may-exist", "add-br", brInt, "--", "set", "Bridge", brInt, "datapath_type=netdev")
						}
						o.vsctl(c.interfere...)
					}
					return ops, err
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := d.Ensure(t.Context(), want); err != nil {
					t.Fatal(err)
				}
				if got, want := sorted(o.describe()), lines("switch br-int netdev", "port "+tapName+" on=br-int iface-id="+portID); got != want {
					t.Fatalf("database has\n%s\nwant\n%s", got, want)
				}
			}
		})
	}
}

// TestEndlessConflict: rows that somebody changes back each time end in an error.
func TestEndlessConflict(t *testing.T) {
	o := newOVS(t, newNamespace(t))
	o.put(integration())
	err := o.database().settle(t.Context(), func(ctx context.Context, s *session) ([]ovsdb.Operation, error) {
		defer o.vsctl("--may-exist", "add-port", brInt, tapName)
		o.vsctl("--if-exists", "del-port", tapName)
		return s.ensure(ctx, portState())
	})
	if err == nil || !strings.Contains(err.Error(), "10 times in a row") {
		t.Errorf("error %v", err)
	}
}

// TestBuildsAtOnce: many builds plug ports on a bridge that none of them found.
func TestBuildsAtOnce(t *testing.T) {
	o := newOVS(t, newNamespace(t))
	d := o.database()
	const builds = 32
	errs := make([]error, builds)
	name := func(i int) string { return fmt.Sprintf("tap%08x", i) }
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = d.Ensure(t.Context(), integration(switchPort{Name: name(i), Bridge: brInt, IDs: map[string]string{idInterface: name(i)}}))
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := len(o.describe()); n != builds+1 {
		t.Errorf("%d rows, want a bridge and %d ports", n, builds)
	}
	for i := range errs {
		wg.Go(func() { errs[i] = d.Remove(t.Context(), switchRemoval{Owner: name(i), Ports: []string{name(i)}}) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if got := sorted(o.describe()); got != "switch br-int netdev" {
		t.Errorf("left is %s", got)
	}
}

// TestSwitchStandsStill: a removal does not wait for ever for a switch that does
// not run, and the port is gone all the same.
func TestSwitchStandsStill(t *testing.T) {
	o := newOVS(t, newNamespace(t))
	o.put(portState())
	d := o.database()
	d.letGo = time.Millisecond
	if err := d.Remove(t.Context(), portRemoval()); err != nil {
		t.Fatal(err)
	}
	if got := sorted(o.describe()); got != "switch br-int netdev" {
		t.Errorf("left is %s", got)
	}
}
