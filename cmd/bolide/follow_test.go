package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/status"
)

// serveBoard serves a board on a socket until stop is called.
func serveBoard(t *testing.T, b *status.Board) (socket string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bolide") // t.TempDir's may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := status.NewServer(status.Options{Path: filepath.Join(dir, "s"), Source: sampleSource{}, Board: b, Log: logrus.NewEntry(log)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return filepath.Join(dir, "s"), stop
}

// bolide runs a command line beside the test.
func bolide(ctx context.Context, args ...string) (out *bufio.Scanner, code <-chan int) {
	r, w := io.Pipe()
	result := make(chan int, 1)
	go func() {
		result <- execute(ctx, args, nil, w, w)
		w.Close()
	}()
	return bufio.NewScanner(r), result
}

func TestFollow(t *testing.T) {
	board := status.NewBoard(status.BoardOptions{})
	socket, stop := serveBoard(t, board)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	// Nobody can say when the follower is being told: begin operations until it is.
	begun := make(chan struct{})
	go func() {
		for {
			select {
			case <-begun:
				return
			case <-time.After(time.Millisecond):
				board.Begin(status.Operation{Name: "probe"})
			}
		}
	}()
	var out *bufio.Scanner
	var code <-chan int
	for { // until the socket is there
		if out, code = bolide(ctx, "operations", "--follow", "--socket", socket); out.Scan() {
			if !regexp.MustCompile(`^bolide: ask`).MatchString(out.Text()) {
				break
			}
		}
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	close(begun)
	go func() {
		e := board.Begin(status.Operation{Name: "reboot_instance", Instance: "i1"})
		e.Step("stop", 1, 2)
		e.Progress(5, 10)
		e.End(errors.New("libvirt\x1b[2J is away"))
	}()
	for _, want := range []string{
		`^\d\d:\d\d:\d\d  i1  reboot_instance  begins$`,
		`^\d\d:\d\d:\d\d  i1  reboot_instance  1/2 stop$`,
		`^\d\d:\d\d:\d\d  i1  reboot_instance  1/2 stop 50%$`,
		`^\d\d:\d\d:\d\d  i1  reboot_instance  failed after 0\.\d s: libvirt\[2J is away$`,
	} {
		for out.Scan() {
			if !regexp.MustCompile(`probe`).MatchString(out.Text()) {
				break
			}
		}
		if !regexp.MustCompile(want).MatchString(out.Text()) {
			t.Errorf("%q does not match %s", out.Text(), want)
		}
	}
	stop()
	for out.Scan() {
		t.Log(out.Text())
	}
	if c := <-code; c != exitNoDaemon {
		t.Errorf("exit code %d after the daemon went away, want %d", c, exitNoDaemon)
	}
}
