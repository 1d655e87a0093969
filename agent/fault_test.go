package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"bolide/agent/cloud"
	"bolide/agent/config"
	"bolide/hypervisor"
	"bolide/imagecache/disk"
	"bolide/rpc"
	"bolide/rpc/nova"
)

func TestFaultsSayWhatFailedAndWhatToDo(t *testing.T) {
	cfg := &config.Config{}
	cfg.Default.Host = "compute-17"
	rc := rpc.Context{"request_id": "req-11111111-2222-3333-4444-555555555555"}
	at := func(step string, err error) error {
		return &stepError{step, fmt.Errorf("internal /var/lib/nova: %w", err)}
	}
	for _, c := range []struct {
		method  string
		failure error
		want    string
	}{
		{"reboot_instance", at("define", &hypervisor.Error{Op: "define", Kind: hypervisor.ErrTimeout, Message: "no answer after 1m0s"}),
			`reboot failed on compute-17 at step "define": libvirt did not answer; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"start_instance", at("start", &hypervisor.Error{Op: "start", Message: "cannot open /dev/secret"}),
			`start failed on compute-17 at step "start": libvirt refused to start; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"attach_interface", at("port", &cloud.Error{Service: "network", Status: 503}),
			`attach interface failed on compute-17 at step "port": Neutron answered 503 Service Unavailable; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"snapshot_instance", at("upload", &cloud.Error{Service: "image", Err: errors.New("connection refused")}),
			`snapshot failed on compute-17 at step "upload": Glance did not answer; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"stop_instance", rpc.ErrTimeout,
			`stop failed on compute-17: nova-conductor did not answer; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"snapshot_instance", at("copy disk", syscall.ENOSPC),
			`snapshot failed on compute-17 at step "copy disk": the host's disk is full; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"build_and_run_instance", at("create disks", &disk.ErrTool{Output: "qemu-img: /x: Read-only file system"}),
			`build failed on compute-17 at step "create disks": the host's disk is read-only; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"build_and_run_instance", at("allocate ports", &cloud.Error{Service: "network", Err: syscall.EMFILE}),
			`build failed on compute-17 at step "allocate ports": the compute service has no file descriptors left; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"snapshot_instance", errors.Join(errShutdown, at("copy disk", context.Canceled)),
			`snapshot failed on compute-17 at step "copy disk": the compute service was stopped; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
		{"pause_instance", nova.InstanceNotRunning("u"), "Instance u is not running."},
		{"pause_instance", errors.New("panic at /home"),
			`pause failed on compute-17: an unexpected error; try again, or give req-11111111-2222-3333-4444-555555555555 to the operator`},
	} {
		task := &task{cfg: cfg, rc: rc, op: operation{method: c.method}}
		fault := task.faultOf(c.failure)
		if got := nova.FaultMessage(fault); got != c.want {
			t.Errorf("%s, %v:\n got %s\nwant %s", c.method, c.failure, got, c.want)
		}
		if !errors.Is(fault, c.failure) {
			t.Errorf("%s: the operator is not shown %v", c.method, c.failure)
		}
	}
}

func TestFaultsAreShort(t *testing.T) {
	cfg := &config.Config{}
	cfg.Default.Host = strings.Repeat("compute.", 20)
	task := &task{cfg: cfg, rc: rpc.Context{"request_id": "req-1"}, op: operation{method: "stop_instance"}}
	if got := nova.FaultMessage(task.faultOf(errors.New("x"))); len(got) > faultLimit || !strings.HasPrefix(got, "stop failed on ") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	for text, want := range map[string]string{"short": "short", "äöü äöü äöü": "äöü ä …"} {
		if got := shorten(text, 14); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
