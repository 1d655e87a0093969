package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bolide/agent/status"
)

// terminal is a pseudo-terminal of 100 columns and 40 lines: what is shown on it can
// be read from screen.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100}); err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// top shows the page again and again, waits for a daemon that is away, and gives
// the screen back as it was.
func TestTop(t *testing.T) {
	socket, stop := serveBoard(t, status.NewBoard(status.BoardOptions{}))
	screen, tty := terminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"top", "--every", "100ms", "--socket", socket}, []string{"TERM=xterm"}, tty, tty)
	}()
	_ = screen.SetReadDeadline(time.Now().Add(time.Minute)) // where terminals have deadlines
	var seen bytes.Buffer
	shows := func(text string) {
		t.Helper()
		buf := make([]byte, 4096)
		for !bytes.Contains(seen.Bytes(), []byte(text)) {
			n, err := screen.Read(buf)
			if err != nil {
				t.Fatalf("%v; the screen shows:\n%s", err, seen.Bytes())
			}
			seen.Write(buf[:n])
		}
		seen.Reset()
	}
	shows(screenOpen)
	for range 3 {
		shows("node-1")
	}
	stop()
	shows("ask bolide at")
	cancel()
	shows(screenClose)
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d", c)
	}
}
