package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// task is what the test binary does inside, when it is run there.
const task = "ENCLAVE_TEST_TASK"

func TestMain(m *testing.M) {
	switch CurrentStage() {
	case AsInit:
		Init(func(d Dir) error { return os.WriteFile(filepath.Join(string(d), "set-up"), nil, 0o644) })
	case Inside:
		os.Exit(inside(os.Getenv(task)))
	}
	os.Exit(m.Run())
}

func inside(task string) int {
	dir := string(CurrentDir())
	switch task {
	case "leave a child":
		child := exec.Command("sleep", childMark)
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if child.Start() != nil {
			return 1
		}
		return 7
	case "hold":
		stopped := make(chan os.Signal, 1)
		signal.Notify(stopped, syscall.SIGTERM)
		if CurrentDir().MarkReady() != nil {
			return 1
		}
		<-stopped
	case "join":
		net, err := os.Readlink("/proc/self/ns/net")
		if err != nil || os.WriteFile(filepath.Join(dir, "joined"), []byte(net), 0o644) != nil {
			return 1
		}
	}
	return 0
}

// childMark is how a process is found that should not be there any more.
const childMark = "86423"

func needRoot(t *testing.T) Dir {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	return Dir(filepath.Join(t.TempDir(), "enclave"))
}

func TestNothingOutlivesTheProgram(t *testing.T) {
	dir := needRoot(t)
	t.Setenv(task, "leave a child")
	err := Enter(t.Context(), dir)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("enter: %v, want exit status 7", err)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range commands {
		line, err := os.ReadFile(path)
		if err == nil && string(line) == "sleep\x00"+childMark+"\x00" {
			t.Errorf("%s lives on", path)
		}
	}
	if _, err := dir.Running(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("running: %v", err)
	}
}

func TestJoinAndStop(t *testing.T) {
	dir := needRoot(t)
	t.Setenv(task, "hold")
	ended := make(chan error, 1)
	go func() { ended <- Enter(context.WithoutCancel(t.Context()), dir) }()
	for deadline := time.Now().Add(20 * time.Second); !dir.IsReady(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come up")
		}
	}
	if err := Enter(t.Context(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("enter again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(string(dir), "set-up")); err != nil {
		t.Errorf("it was not set up: %v", err)
	}
	t.Setenv(task, "join")
	if err := Join(dir); err != nil {
		t.Fatal(err)
	}
	joined, err := os.ReadFile(filepath.Join(string(dir), "joined"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(joined), "net:") || string(joined) == ours {
		t.Errorf("the network namespace inside is %s, ours %s", joined, ours)
	}
	if err := dir.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("enter: %v", err)
	}
	if err := Join(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("join what is gone: %v", err)
	}
	if left, err := filepath.Glob(fmt.Sprintf("%s/joined", dir)); err != nil || left != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}
