package agent

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"bolide/agent/status"
	"bolide/rpc"
	"bolide/rpc/nova"
)

func TestWhatIsAskedOfOthersIsCounted(t *testing.T) {
	m := status.NewMetrics()
	r := newRecorder()
	c := nova.NewConductor(meteredCaller{r, m}, r.profile, "here").With(rpc.AdminContext())
	if _, err := c.MinimumServiceVersion(t.Context(), serviceBinary); err != nil {
		t.Error(err)
	}
	r.refuse = func(string) error { return errors.New("away") }
	service := nova.As[nova.Service](r.profile.New("Service"))
	if err := c.SaveService(t.Context(), service); err == nil {
		t.Error("saved while the conductor is away")
	}
	got, err := testutil.GatherAndCount(m.Registry, "bolide_rpc_duration_seconds")
	if err != nil || got != 2 {
		t.Errorf("%d series, %v", got, err)
	}
	for args, want := range map[string]string{"objname": "Service.save", "": "ping"} {
		if got := outgoingName("ping", map[string]any{args: "Service", "objmethod": "save"}); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}
