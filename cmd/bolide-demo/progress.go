package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"bolide/agent/status"
	"bolide/test/controller/site"
)

// terminal says whether colours and lines that change are of use.
func terminal() bool {
	info, err := os.Stdout.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func paint(code, text string) string {
	if !terminal() {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func heading(text string) string { return paint("1", text) }
func faint(text string) string   { return paint("2", text) }

// watch prints each step of the node's operations, as the status socket tells
// them, until stop is called.
func watch(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	body, err := status.NewClient(site.Socket).Open(ctx, "GET", "/v1/events", nil)
	if err != nil {
		cancel()
		return nil, err
	}
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		defer func() { _ = body.Close() }()
		p := printer{shown: map[uint64]bool{}}
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e status.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Operation != nil {
				p.show(e)
			}
		}
	}()
	return func() {
		cancel()
		<-shown
	}, nil
}

// printer writes events as lines; progress changes its line in place. Operations
// without steps are not shown.
type printer struct {
	open  bool
	shown map[uint64]bool // the operations that have begun, by their number
}

func (p *printer) show(e status.Event) {
	o := e.Operation
	switch e.Kind {
	case status.EventStep:
		if !p.shown[o.ID] {
			p.line("  %s", o.Name)
			p.shown[o.ID] = true
		}
		p.line("    %d/%d %s", o.StepIndex, o.Steps, o.Step)
	case status.EventProgress:
		if terminal() && o.Total > 0 {
			fmt.Printf("\r\x1b[K    %d/%d %s %s", o.StepIndex, o.Steps, o.Step, bar(o.Done, o.Total))
			p.open = true
		}
	case status.EventEnd:
		if !p.shown[o.ID] {
			return
		}
		took := o.Ended.Sub(o.Started).Round(10 * time.Millisecond)
		if o.Error != "" {
			p.line("  %s failed after %s: %s", o.Name, took, o.Error)
			return
		}
		p.line("  %s done after %s", o.Name, took)
	}
}

func (p *printer) line(format string, args ...any) {
	if p.open {
		fmt.Println()
		p.open = false
	}
	fmt.Println(faint(fmt.Sprintf(format, args...)))
}

// bar draws how far something is.
func bar(done, total int64) string {
	const width = 24
	n := int(max(0, min(width, done*width/total)))
	return fmt.Sprintf("[%s%s] %d %%", strings.Repeat("=", n), strings.Repeat(" ", width-n), done*100/total)
}
