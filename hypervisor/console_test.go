package hypervisor

import (
	"errors"
	"io"
	"strings"
	"testing"

	"bolide/test/virt"
)

// bootWithPty starts a guest whose console is a pty, as Nova's guests have it, and
// leaves it paused before its first instruction.
func bootWithPty(t *testing.T, h *Host, d *virt.Daemon) virt.Guest {
	t.Helper()
	g := d.NewGuest(t, virt.GuestOptions{})
	file := "<serial type='file'><source path='" + g.Console + "'/></serial>"
	xml := strings.Replace(g.XML, file, "<serial type='pty'/>", 1)
	if xml == g.XML {
		t.Fatalf("no %s in %s", file, g.XML)
	}
	if err := h.Define(within(t, patience), xml); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(within(t, patience), g.UUID, StartOptions{Paused: true}); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestConsole(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	g := bootWithPty(t, h, d)
	c, err := h.OpenConsole(within(t, patience), g.UUID, ConsoleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenConsole(within(t, patience), g.UUID, ConsoleOptions{}); err == nil {
		t.Error("two have the console")
	}
	if err := h.Resume(within(t, patience), g.UUID); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(virt.Banner))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != virt.Banner {
		t.Errorf("the guest says %q, %v", got, err)
	}
	if n, err := c.Write([]byte("hello\r")); n != 6 || err != nil {
		t.Errorf("wrote %d bytes: %v", n, err)
	}

	taken, err := h.OpenConsole(within(t, patience), g.UUID, ConsoleOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Logf("the first one ended with: %v", err) // libvirt ends it in either way
	}
	ended := make(chan error, 1)
	go func() {
		_, err := taken.Read(got)
		ended <- err
	}()
	for _, c := range []*Console{taken, taken, c} { // closing may be repeated
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("a read that waited ended with %v", err)
	}
	if n, err := taken.Write([]byte("x")); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("wrote %d bytes to a closed console: %v", n, err)
	}
}

func TestConsoleEndsWithItsGuest(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	g := bootWithPty(t, h, d)
	c, err := h.OpenConsole(within(t, patience), g.UUID, ConsoleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := h.Destroy(within(t, patience), g.UUID); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(c); len(text) > 0 {
		t.Errorf("the guest says %q, %v", text, err)
	}
}

func TestConsoleRefused(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	g := boot(t, h, d, virt.GuestOptions{})
	if _, err := h.OpenConsole(within(t, patience), g.UUID, ConsoleOptions{}); err == nil || !strings.Contains(err.Error(), "PTY") {
		t.Errorf("console in a file: %v", err)
	}
	if _, err := h.OpenConsole(within(t, patience), "00000000-0000-0000-0000-000000000000", ConsoleOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("console of no guest: %v", err)
	}
}
