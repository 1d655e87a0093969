package status

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestConsole(t *testing.T) {
	guests := &sampleGuests{}
	c, _ := serve(t, Options{Guests: guests})
	console, err := c.Console(t.Context(), "instance-00000001", ConsoleOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	if !guests.forced {
		t.Error("force did not come through")
	}
	if _, err := io.WriteString(console, "root\nbye\n"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(console)
	if want := "login: ROOT\n"; string(text) != want || err != nil {
		t.Errorf("the console says %q, want %q; %v", text, want, err)
	}
}

func TestConsoleRefused(t *testing.T) {
	c, _ := serve(t, Options{Guests: &sampleGuests{}})
	var refused *APIError
	if _, err := c.Console(t.Context(), "nobody", ConsoleOptions{}); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("console of nobody: %v", err)
	}
	c, _ = serve(t, Options{})
	if _, err := c.Console(t.Context(), "instance-00000001", ConsoleOptions{}); !errors.As(err, &refused) || refused.Status != 501 {
		t.Errorf("console of a node that has none: %v", err)
	}
}

// A console that nobody closes ends with the daemon; serve waits for it.
func TestConsoleEndsWithTheDaemon(t *testing.T) {
	dir := t.TempDir()
	s, err := NewServer(Options{Path: dir + "/s", Source: sample{}, Board: busyBoard(), Guests: &sampleGuests{}, Log: quietLog()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := NewClient(dir + "/s")
	awaitAnswer(t, c)
	console, err := c.Console(t.Context(), "instance-00000001", ConsoleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(console); err != nil {
		t.Logf("the console ended with: %v", err)
	}
}

// flood is a guest that never stops talking.
type flood struct{ sampleGuests }

func (*flood) Console(context.Context, string, ConsoleOptions) (io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	go func() {
		for chunk := strings.Repeat("x", 4096); ; {
			if _, err := io.WriteString(far, chunk); err != nil {
				return
			}
		}
	}()
	return near, nil
}

// A client that does not read is hung up on, so that it holds nothing for long.
func TestConsoleOfAStuckClient(t *testing.T) {
	_, o := serve(t, Options{Guests: &flood{}, RequestTimeout: 100 * time.Millisecond})
	stuck, err := net.Dial("unix", o.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	_, err = fmt.Fprintf(stuck, "GET /v1/instances/instance-00000001/console HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", ConsoleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	// What the client types is taken no longer: that it was hung up on.
	_ = stuck.SetWriteDeadline(time.Now().Add(30 * time.Second))
	for err == nil {
		_, err = io.WriteString(stuck, strings.Repeat("y", 4096))
	}
	if errors.Is(err, io.ErrShortWrite) || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the client still holds the console: %v", err)
	}
	if answer, err := bufio.NewReader(stuck).ReadString('\n'); !strings.Contains(answer, "101") {
		t.Errorf("answer %q: %v", answer, err)
	}
}

func TestDrain(t *testing.T) {
	d := &sampleDrainer{}
	c, _ := serve(t, Options{Drainer: d})
	var s DrainState
	if err := c.Put(t.Context(), "/v1/drain", nil, &s); err != nil || s.Problem != "" || s.Instances != 1 {
		t.Errorf("drain: %+v, %v", s, err)
	}
	d.away = errors.New("no conductor answers")
	if err := c.Delete(t.Context(), "/v1/drain", &s); err != nil || s.Problem != "no conductor answers" {
		t.Errorf("undrain: %+v, %v", s, err)
	}
}
