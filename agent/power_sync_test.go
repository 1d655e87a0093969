package agent

import (
	"testing"
	"time"

	"bolide/rpc/nova"
)

func TestRemedyFor(t *testing.T) {
	for _, c := range []struct {
		vm    nova.VMState
		power nova.PowerState
		want  remedy
	}{
		{nova.VMActive, nova.PowerRunning, leaveAlone},
		{nova.VMActive, nova.PowerShutdown, recordOff},
		{nova.VMActive, nova.PowerCrashed, recordOff},
		{nova.VMActive, nova.PowerPaused, warn},
		{nova.VMActive, nova.PowerNoState, warn},
		{nova.VMActive, nova.PowerSuspended, warn},
		{nova.VMStopped, nova.PowerShutdown, leaveAlone},
		{nova.VMStopped, nova.PowerRunning, switchItOff},
		{nova.VMPaused, nova.PowerRunning, leaveAlone},
		{nova.VMPaused, nova.PowerShutdown, recordOff},
		{nova.VMSoftDeleted, nova.PowerRunning, warn},
		{nova.VMBuilding, nova.PowerShutdown, leaveAlone},
		{nova.VMRescued, nova.PowerShutdown, leaveAlone},
		{nova.VMResized, nova.PowerShutdown, leaveAlone},
		{nova.VMSuspended, nova.PowerShutdown, leaveAlone},
		{nova.VMError, nova.PowerShutdown, leaveAlone},
	} {
		if got := remedyFor(c.vm, c.power); got != c.want {
			t.Errorf("%s and %s: %v, want %v", c.vm, c.power, got, c.want)
		}
	}
}

func TestOneLookIsNoProof(t *testing.T) {
	var s suspicions
	now := time.Now()
	look := func(after time.Duration, power nova.PowerState) bool {
		return s.lasts("i", nova.VMActive, power, now.Add(after))
	}
	if look(0, nova.PowerShutdown) {
		t.Error("believed at first sight")
	}
	if look(settleTime-1, nova.PowerShutdown) {
		t.Error("believed too soon")
	}
	if !look(settleTime, nova.PowerShutdown) {
		t.Error("a lasting difference was not believed")
	}
	if look(settleTime, nova.PowerCrashed) {
		t.Error("another difference was believed at first sight")
	}
	s.forget("i")
	if look(2*settleTime, nova.PowerCrashed) {
		t.Error("a forgotten difference was believed")
	}
}
