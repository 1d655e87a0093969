package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func plugged(port string) eventKey {
	return eventKey{Instance: "i", Name: "network-vif-plugged", Tag: port}
}

func TestWaitersAllCome(t *testing.T) {
	w := newWaiters()
	e := w.expect(plugged("p1"), plugged("p2"))
	for _, p := range []string{"p2", "p1"} {
		if !w.deliver(plugged(p), "completed") {
			t.Errorf("nobody waited for %s", p)
		}
	}
	if err := e.wait(context.Background()); err != nil {
		t.Error(err)
	}
	if w.deliver(plugged("p1"), "completed") {
		t.Error("an event was delivered twice")
	}
}

func TestWaitersFailedEvent(t *testing.T) {
	w := newWaiters()
	e := w.expect(plugged("p1"))
	w.deliver(plugged("p1"), "failed")
	if err := e.wait(context.Background()); err == nil || !strings.Contains(err.Error(), "p1") {
		t.Errorf("err = %v", err)
	}
}

func TestWaitersDeadlineNamesTheMissing(t *testing.T) {
	w := newWaiters()
	e := w.expect(plugged("p1"), plugged("p2"))
	w.deliver(plugged("p1"), "completed")
	cause := errors.New("too late")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	err := e.wait(ctx)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "p2") || strings.Contains(err.Error(), "p1") {
		t.Errorf("err = %v", err)
	}
	if w.deliver(plugged("p2"), "completed") {
		t.Error("a forgotten expectation got an event")
	}
}

func TestWaitersNothingToExpect(t *testing.T) {
	if err := newWaiters().expect().wait(context.Background()); err != nil {
		t.Error(err)
	}
}
