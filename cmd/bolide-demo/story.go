package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bolide/agent/status"
	"bolide/test/controller/site"
	"bolide/test/openstack/api"
)

// chapter is a part of the story.
type chapter struct {
	title string
	tell  func(ctx context.Context, t *teller) error
	moral string // what it has shown, in the summary
}

// teller carries the guest from chapter to chapter.
type teller struct {
	*client
	f     *flags
	guest api.Server
}

// story is a guest's life, in its order.
func story() []chapter {
	return []chapter{
		{"A guest boots. Each step of the node, as `bolide operations --follow` shows them:", bootGuest, "booted a guest"},
		{"What the guest says on its console:", readConsole, "read its console"},
		{"The node, as `bolide status` shows it:", showStatus, "looked at the node"},
		{"The guest is rebooted:", rebootGuest, "rebooted it"},
		{"A snapshot is taken, and uploaded to the image service:", takeSnapshot, "took a snapshot"},
		{"The node is killed (kill -9), as a crash would:", crashNode, "killed the node; the guest did not notice"},
		{"The guest is deleted:", deleteGuest, "deleted it; nothing of it is left"},
	}
}

// tell tells the story in the cloud that is up.
func (f *flags) tell(ctx context.Context) error {
	began := time.Now()
	c, err := connect(ctx)
	if err != nil {
		return err
	}
	t := &teller{client: c, f: f}
	for i, ch := range story() {
		fmt.Printf("\n%s\n", heading(fmt.Sprintf("%d. %s", i+1, ch.title)))
		if err := ch.tell(ctx, t); err != nil {
			return fmt.Errorf("%s %w\nthe node's log is %s", ch.title, err, site.Log("bolide"))
		}
	}
	f.sum(time.Since(began))
	return nil
}

// sum says what was done, and what to try next.
func (f *flags) sum(took time.Duration) {
	fmt.Printf("\n%s\n", heading(fmt.Sprintf("That was a guest's life, in %.0f seconds. Bolide", took.Seconds())))
	for _, ch := range story() {
		fmt.Println("  -", ch.moral)
	}
	if !f.keep {
		fmt.Print("\nThe cloud goes down now; nothing is left on this machine but the logs in\n" + f.dir + "/log.\n" +
			"To keep one and play with it:  make demo KEEP=1\n")
		return
	}
	self := os.Args[0]
	fmt.Printf("\nThe cloud is still up. What to type next:\n")
	for _, line := range [][2]string{
		{"boot web", "boot a guest"}, {"list", "all guests"}, {"console web", "what it says"}, {"snapshot web", "make an image of it"},
		{"exec bolide top", "watch the node"}, {"exec virsh list", "ask libvirt"}, {"down", "end it all"},
	} {
		fmt.Printf("  %s %-18s %s\n", self, line[0], faint(line[1]))
	}
}

func bootGuest(ctx context.Context, t *teller) (err error) {
	if t.guest, err = t.boot(ctx, "demo"); err != nil {
		return err
	}
	fmt.Printf("%s is %s on %s, with address %s\n", t.guest.Name, t.guest.Status, t.guest.Hypervisor, t.guest.Address())
	return nil
}

func readConsole(ctx context.Context, t *teller) error {
	if err := t.Sees(ctx, t.guest.ID, `guest: ready`); err != nil {
		return err
	}
	text, err := t.ConsoleText(ctx, t.guest.ID, 0)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "guest: ") {
			fmt.Print("  ", faint(strings.TrimRight(line, "\r\n")), "\n")
		}
	}
	return nil
}

func showStatus(ctx context.Context, t *teller) error { return t.f.run(ctx, "status") }

func rebootGuest(ctx context.Context, t *teller) error {
	if err := t.change(ctx, t.guest.ID, "reboot", map[string]any{"type": "HARD"}, api.Active()); err != nil {
		return err
	}
	fmt.Println("it is ACTIVE again")
	return nil
}

func takeSnapshot(ctx context.Context, t *teller) error {
	size, err := t.snapshot(ctx, t.guest.ID, "demo-snapshot")
	if err == nil {
		fmt.Printf("image demo-snapshot has %d MiB\n", size>>20)
	}
	return err
}

// crashNode kills the node, and waits for the one that its supervisor starts.
func crashNode(ctx context.Context, t *teller) error {
	// The guest must have an address before the crash for it to be missed after.
	if err := t.Sees(ctx, t.guest.ID, `guest: ready`); err != nil {
		return err
	}
	socket := status.NewClient(site.Socket)
	var before, after status.Snapshot
	if err := socket.Get(ctx, "/v1/status", &before); err != nil {
		return err
	}
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the node: %w", err)
	}
	killed := time.Now()
	if !site.Reachable(ctx, t.guest.Address()+":22") {
		return errors.New("the guest does not answer while the node is dead")
	}
	fmt.Printf("process %d is dead; the guest still answers at %s\n", before.PID, t.guest.Address())
	err := api.Until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		if err := socket.Get(ctx, "/v1/status", &after); err != nil {
			return false, err
		}
		if !after.Serving || after.PID == before.PID {
			return false, errors.New("it does not serve yet")
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("the node does not come back: %w", err)
	}
	fmt.Printf("process %d serves %.1f s later, and knows %d guest\n", after.PID, time.Since(killed).Seconds(), len(after.Instances))
	v, err := t.Wait(ctx, t.guest.ID, api.Active())
	if err != nil {
		return err
	}
	fmt.Printf("%s is %s\n", v.Name, v.Status)
	return nil
}

// deleteGuest also looks for what the guest could have left.
func deleteGuest(ctx context.Context, t *teller) error {
	if err := t.drop(ctx, t.guest.ID); err != nil {
		return err
	}
	return api.Until(ctx, 10*time.Second, func(context.Context) (bool, error) {
		files, err := filepath.Glob(filepath.Join(site.StatePath, "instances", t.guest.ID+"*"))
		if err != nil {
			return true, err
		}
		taps, err := filepath.Glob("/sys/class/net/tap*")
		if left := append(files, taps...); err == nil && len(left) > 0 {
			return false, fmt.Errorf("left behind: %s", strings.Join(left, ", "))
		}
		if err == nil {
			fmt.Println("no file and no link of it is left")
		}
		return true, err
	})
}
