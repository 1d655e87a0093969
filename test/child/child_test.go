package child

import (
	"errors"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// TestSurvivesThreads: a program is not killed when threads of this process end, as those of goroutines that were locked
// to theirs do.
func TestSurvivesThreads(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var done <-chan struct{}
	onDyingThread(func() { done, err = Start(cmd) })
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		onDyingThread(func() {})
	}
	in.Close()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("it goes on without input")
	}
	if !cmd.ProcessState.Success() {
		t.Error(cmd.ProcessState)
	}
}

func onDyingThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		f()
	}()
	<-done
}

func TestRefusals(t *testing.T) {
	if _, err := Start(exec.Command("/nonexistent")); err == nil {
		t.Error("a program that is not there was started")
	}
	no := errors.New("no")
	cmd := exec.Command("cat")
	if _, err := StartAfter(cmd, func() error { return no }); !errors.Is(err, no) || cmd.Process != nil {
		t.Errorf("started in spite of %v: %v", no, err)
	}
}
