package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// drivers are the QEMU block drivers that may be named, which is also what keeps a format from being left out: no
// call leaves this package without one of them in each place that takes one.
var drivers = []string{"raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx"}

// command is one call of qemu-img before it is run. Paths are absolute, so that none is taken for a protocol.
type command struct {
	verb   string
	args   []string
	reads  []string // files it opens for reading
	writes []string // files it opens for writing; they exist already
	limits Limits
	output int64     // bytes any one written file may grow to
	stdout io.Writer // takes standard output as it comes; nil collects it
}

// ErrFormat reports a format that no tool may be told, or, empty, one that was left out.
type ErrFormat struct {
	Format string
}

func (e *ErrFormat) Error() string {
	if e.Format == "" {
		return "disk format is not stated"
	}
	return fmt.Sprintf("disk format %q is not supported", e.Format)
}

func checkFormats(formats ...string) error {
	for _, f := range formats {
		if !slices.Contains(drivers, f) {
			return &ErrFormat{Format: f}
		}
	}
	return nil
}

// check refuses a command that would let qemu-img guess: the last line of defence behind the typed operations.
func (c command) check() error {
	option := func(flag string) string {
		if i := slices.Index(c.args, flag); i >= 0 && i+1 < len(c.args) {
			return c.args[i+1]
		}
		return ""
	}
	var stated []string
	switch c.verb {
	case "info", "check", "commit", "resize":
		stated = []string{option("-f")}
	case "rebase":
		stated = []string{option("-f")}
		if base := option("-b"); base != "" {
			stated = append(stated, option("-F"))
		}
	case "convert":
		// The source is a JSON description that names the driver of each layer (see layer).
		stated = []string{option("-O")}
		if len(c.args) < 2 || !strings.HasPrefix(c.args[len(c.args)-2], `json:{"driver":`) {
			stated = append(stated, "")
		}
	default:
		return fmt.Errorf("qemu-img %s: not a command in use", c.verb)
	}
	if err := checkFormats(stated...); err != nil {
		return fmt.Errorf("qemu-img %s: %w", c.verb, err)
	}
	for _, p := range slices.Concat(c.reads, c.writes) {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("qemu-img %s: path %q is not absolute", c.verb, p)
		}
	}
	return nil
}

// layer is one file of a disk with what lies under it. Described so, nothing in a header can add a file or a format.
type layer struct {
	path, format string
	backing      *layer
}

func (l layer) paths() []string {
	if l.backing == nil {
		return []string{l.path}
	}
	return append(l.backing.paths(), l.path)
}

func (l layer) formats() []string {
	if l.backing == nil {
		return []string{l.format}
	}
	return append(l.backing.formats(), l.format)
}

// MarshalJSON gives QEMU's description of a block device. For qcow2 "backing" is always said: null keeps QEMU from
// following the header.
func (l layer) MarshalJSON() ([]byte, error) {
	var backing []byte
	if l.format == "qcow2" {
		var err error
		if backing, err = json.Marshal(l.backing); err != nil {
			return nil, err
		}
	}
	path, err := json.Marshal(l.path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"driver":%q,"file":{"driver":"file","filename":%s}`, l.format, path)
	if backing != nil {
		fmt.Fprintf(&b, `,"backing":%s`, backing)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// source renders the layer as the pseudo file name that qemu-img takes.
func (l layer) source() (string, error) {
	b, err := json.Marshal(l)
	return "json:" + string(b), err
}

// ErrTool reports a run of an external command that went wrong. It unwraps to the context's error when the context
// ended the run, and to the *exec.ExitError otherwise.
type ErrTool struct {
	Argv   []string
	Output string // standard error, cut at 4 KiB
	Err    error
}

func (e *ErrTool) Error() string {
	msg := fmt.Sprintf("%s: %v", strings.Join(e.Argv, " "), e.Err)
	if out := strings.TrimSpace(e.Output); out != "" {
		msg += ": " + out
	}
	return msg
}

func (e *ErrTool) Unwrap() error { return e.Err }

// Is reports whether the tool said the text of the system's error target, so that a disk that is full is the same error
// whoever met it.
func (e *ErrTool) Is(target error) bool {
	errno, ok := target.(syscall.Errno)
	return ok && strings.Contains(strings.ToLower(e.Output), errno.Error())
}

// qemuImg runs one command and returns what it printed.
func (t *Tool) qemuImg(ctx context.Context, c command) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return t.run(ctx, job{
		argv:   append([]string{t.opts.Program, c.verb}, c.args...),
		reads:  c.reads,
		writes: c.writes,
		limits: c.limits,
		output: c.output,
		stdout: c.stdout,
	})
}
