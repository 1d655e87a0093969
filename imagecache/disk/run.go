package disk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"
)

// job is one external command with its bounds.
type job struct {
	argv   []string
	reads  []string
	writes []string
	limits Limits
	output int64     // bytes any written file may grow to; 0 is no bound
	stdout io.Writer // takes standard output as it comes; nil collects it
}

const keptOutput = 4 << 10 // bytes of standard error kept for the message

// run starts a command in the sandbox and waits for it. When ctx or the time limit ends first the command is killed.
// It is the only place in this tree that starts a process.
func (t *Tool) run(ctx context.Context, j job) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, j.limits.Timeout)
	defer cancel()
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	// The sandbox is put on the thread that forks, so the thread must belong to the command and must die with it:
	// the goroutine never unlocks it. The thread outlives the command because the command dies with its parent thread.
	go func() {
		runtime.LockOSThread()
		out, err := t.runOnThread(ctx, j)
		done <- result{out, err}
	}()
	r := <-done // ends with ctx, which kills the command
	return r.out, r.err
}

func (t *Tool) runOnThread(ctx context.Context, j job) ([]byte, error) {
	argv := append(prlimit(j), j.argv...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"LC_ALL=C", "LANG=C", "PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.WaitDelay = 5 * time.Second
	var stdout bytes.Buffer
	stderr := tail{limit: keptOutput}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if j.stdout != nil {
		cmd.Stdout = j.stdout
	}
	fail := func(err error) error {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return &ErrTool{Argv: j.argv, Output: stderr.String(), Err: err}
	}
	if err := t.sandbox.enter(cmd, j); err != nil {
		return nil, fail(fmt.Errorf("enter sandbox: %w", err))
	}
	if err := cmd.Run(); err != nil {
		return nil, fail(err)
	}
	return stdout.Bytes(), nil
}

// prlimit is the command prefix that sets the limits before the tool starts; a limit set from outside on a running
// process would come too late.
func prlimit(j job) []string {
	argv := []string{"prlimit", "--core=0", "--as=" + strconv.FormatInt(j.limits.AddressSpace, 10),
		"--cpu=" + strconv.FormatInt(max(1, int64(j.limits.CPU/time.Second)), 10)}
	if j.output > 0 {
		argv = append(argv, "--fsize="+strconv.FormatInt(j.output, 10))
	}
	return append(argv, "--")
}

// tail keeps the last limit bytes written to it.
type tail struct {
	limit int
	buf   []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
