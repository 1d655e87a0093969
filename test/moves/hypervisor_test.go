package moves

import (
	"context"
	"io"
	"testing"

	"github.com/sirupsen/logrus"

	"bolide/hypervisor"
)

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

// run runs a connection to libvirt until the returned function is called.
func run(t *testing.T, h *hypervisor.Host) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	wait, done := context.WithTimeout(t.Context(), patience)
	defer done()
	if err := h.WaitReady(wait); err != nil {
		t.Error(err)
	}
	return func() {
		cancel()
		<-ended
	}
}
