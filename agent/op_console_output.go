package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// consoleLimit is how much of a console log is read at most, in bytes; Nova's limit.
const consoleLimit = 100 << 10

// opConsoleOutput returns what the guest wrote to its serial console: os-getConsoleOutput.
func opConsoleOutput(*Agent) operation {
	return operation{
		method: "get_console_output", keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			lines, err := tailArgument(t.req.Args["tail_length"])
			if err != nil {
				return nil, err
			}
			if _, err := t.guest(ctx); err != nil {
				return nil, err
			}
			out, err := readConsole(filepath.Join(t.instanceDir(t.inst.UUID()), "console.log"), consoleLimit)
			if err != nil {
				return nil, err
			}
			return printable(tail(out, lines)), nil
		},
	}
}

// allLines asks for the whole log.
const allLines = -1

// tailArgument reads how many lines are asked for. Nova's API sends a number, a text or null, where null and what is
// below 0 ask for all; what is neither a number nor null asks for nothing.
func tailArgument(raw json.RawMessage) (int, error) {
	var v any
	if len(raw) == 0 {
		return allLines, nil
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return 0, fmt.Errorf("argument tail_length: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return allLines, nil
	case float64:
		return max(int(v), allLines), nil
	case string:
		n, err := strconv.Atoi(v)
		if err != nil {
			return 0, nil
		}
		return max(n, allLines), nil
	}
	return 0, nil
}

// readConsole returns the last limit bytes of the log, going back to the rolled files that virtlogd keeps beside
// it. A log that is not there yet is empty.
func readConsole(path string, limit int64) ([]byte, error) {
	var out []byte
	for i, name := 0, path; limit > 0; i, name = i+1, path+"."+strconv.Itoa(i) {
		part, err := lastBytes(name, limit)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read console log: %w", err)
		}
		out = append(part, out...)
		limit -= int64(len(part))
	}
	return out, nil
}

func lastBytes(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-n), n))
}

// tail returns the last lines of a log, a partial line at its end counting as one.
func tail(log []byte, lines int) string {
	s := string(log)
	if lines == allLines {
		return s
	}
	if lines == 0 {
		return ""
	}
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// printable replaces every byte that is not ASCII: the guest may write anything, and JSON takes only text.
func printable(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if s[i] < 0x80 {
			b.WriteByte(s[i])
		} else {
			b.WriteRune('\uFFFD')
		}
	}
	return b.String()
}

// guest looks the instance's domain up; one that is not there is Nova's InstanceNotFound, or InstanceNotReady
// while the instance is being built.
func (t *task) guest(ctx context.Context) (hypervisor.Guest, error) {
	g, err := t.hypervisor.Guest(ctx, t.inst.UUID())
	if err == nil {
		return g, nil
	}
	return g, t.guestError(err)
}

// guestError makes Nova's exception of what the hypervisor said about the instance's domain.
func (t *task) guestError(err error) error {
	switch {
	case !errors.Is(err, hypervisor.ErrNotFound):
		return err
	case t.inst.VMState() == nova.VMBuilding:
		return nova.NewError("InstanceNotReady", map[string]any{"instance_id": t.inst.UUID()}).Because(err)
	}
	return nova.NewError("InstanceNotFound", map[string]any{"instance_id": t.inst.UUID()}).Because(err)
}
