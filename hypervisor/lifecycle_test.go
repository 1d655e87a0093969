package hypervisor

import (
	"errors"
	"testing"

	"bolide/test/virt"
)

func TestLifecycle(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()
	ctx := within(t, 2*patience)

	g := boot(t, h, d, virt.GuestOptions{})
	if e := expect(t, events, EventStarted); e.UUID != g.UUID || e.Name != g.Name || e.Detail != "booted" {
		t.Errorf("started: %+v", e)
	}
	guests, err := h.Guests(ctx)
	if err != nil || len(guests) != 1 {
		t.Fatalf("guests: %+v, %v", guests, err)
	}
	one, err := h.Guest(ctx, g.UUID)
	if err != nil || one != guests[0] {
		t.Errorf("guest: %+v is not %+v, %v", one, guests[0], err)
	}
	if one.State != Running || one.Reason != "booted" || !one.Persistent || one.ID == 0 || one.Name != g.Name {
		t.Errorf("guest: %+v", one)
	}
	if err := h.Start(ctx, g.UUID, StartOptions{}); !errors.Is(err, ErrInvalidState) {
		t.Errorf("start of a running guest: %v", err)
	}

	if err := h.Suspend(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	expect(t, events, EventSuspended)
	if err := h.Resume(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	expect(t, events, EventResumed)

	if err := h.Shutdown(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventStopped); e.Detail != "shutdown" {
		t.Errorf("stopped: %+v", e)
	}
	for range 2 { // both may be repeated
		if err := h.Destroy(ctx, g.UUID); err != nil {
			t.Errorf("destroy of a guest that is off: %v", err)
		}
	}
	for range 2 {
		if err := h.Undefine(ctx, g.UUID); err != nil {
			t.Errorf("undefine: %v", err)
		}
	}
	if _, err := h.Guest(ctx, g.UUID); !errors.Is(err, ErrNotFound) {
		t.Errorf("guest after undefine: %v", err)
	}
	if guests, err := h.Guests(ctx); err != nil || len(guests) != 0 {
		t.Errorf("guests after undefine: %+v, %v", guests, err)
	}
}
