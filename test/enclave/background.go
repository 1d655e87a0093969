package enclave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// glance is how often a wait looks again.
const glance = 200 * time.Millisecond

// EnsureUp starts this program with other arguments, for it to hold an enclave in
// the background, unless one is up and ready in d; it shows what that says until
// it is ready.
func (d Dir) EnsureUp(ctx context.Context, args ...string) error {
	if _, err := d.Running(); err == nil && d.IsReady() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(string(d)), 0o755); err != nil {
		return err
	}
	path := string(d) + ".log"
	said, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = said.Close() }()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return follow(ctx, path, func() (bool, error) {
		select {
		case err := <-ended:
			return true, fmt.Errorf("it did not come up: %w", err)
		default:
			return d.IsReady(), nil
		}
	})
}

// follow shows what is written to a file until done says so.
func follow(ctx context.Context, path string, done func() (bool, error)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for {
		over, verdict := done()
		if _, err := io.Copy(os.Stdout, file); err != nil {
			return err
		}
		if over {
			return verdict
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(glance):
		}
	}
}

// downLimit bounds the wait for an enclave that was asked to stop.
const downLimit = time.Minute

// Down stops the enclave that is up in d and waits until it is gone.
func (d Dir) Down(ctx context.Context) error {
	if err := d.Stop(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, downLimit)
	defer cancel()
	for {
		if _, err := d.Running(); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("what is in %s is still up: %w", d, ctx.Err())
		case <-time.After(glance):
		}
	}
}
