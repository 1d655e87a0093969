package agent

import (
	"strings"
	"testing"

	"bolide/rpc/nova"
)

// TestPasswordRefused asks for a new password where no agent can set one. The task is cleared, and neither the answer
// nor the fault shows the password.
func TestPasswordRefused(t *testing.T) {
	for name, c := range map[string]struct {
		agent bool // the image promises one; nobody answers
		off   bool
		class string
	}{
		"guest is off":         {true, true, "InstancePasswordSetFailed"},
		"no agent promised":    {false, false, "QemuGuestAgentNotEnabled"},
		"agent does not exist": {true, false, "InstancePasswordSetFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			g := n.boot(t)
			if c.agent {
				n.conductor.instance.Set("system_metadata", map[string]any{"image_hw_qemu_guest_agent": "yes"})
			}
			if c.off {
				if err := n.hypervisor.Destroy(within(t, patience), g.UUID); err != nil {
					t.Fatal(err)
				}
			}
			n.conductor.instance.Set("task_state", string(nova.TaskUpdatingPassword))
			_, err := n.ask(t, opSetAdminPassword, nova.TaskUpdatingPassword, map[string]any{"new_pass": "s3same"})
			if !nova.Is(err, c.class) {
				t.Errorf("answer %v, want %s", err, c.class)
			}
			lines := strings.Join(n.conductor.written(), "\n")
			if !strings.Contains(lines, "save task_state=none if updating_password") || !strings.Contains(lines, "fault ") {
				t.Errorf("written:\n%s", lines)
			}
			if strings.Contains(lines+nova.FaultMessage(err), "s3same") {
				t.Errorf("shows the password:\n%s\n%v", lines, err)
			}
		})
	}
}

func TestCrashDump(t *testing.T) {
	n := newNode(t, nil)
	g := n.boot(t)
	if _, err := n.ask(t, opTriggerCrashDump, "", nil); err != nil {
		t.Errorf("running guest: %v", err)
	}
	if err := n.hypervisor.Destroy(within(t, patience), g.UUID); err != nil {
		t.Fatal(err)
	}
	if _, err := n.ask(t, opTriggerCrashDump, "", nil); !nova.Is(err, "InstanceNotRunning") {
		t.Errorf("guest that is off: %v", err)
	}
}

// TestHostActionsRefused asks for what no libvirt host does.
func TestHostActionsRefused(t *testing.T) {
	n := newNode(t, nil)
	n.boot(t)
	for method, op := range map[string]func(*Agent) operation{"host_power_action": opHostPowerAction, "host_maintenance_mode": opHostMaintenance} {
		if _, err := n.ask(t, op, "", map[string]any{"action": "shutdown", "host": "here", "mode": true}); nova.ClassOf(err) != "NotImplementedError" {
			t.Errorf("%s: %v", method, err)
		}
	}
}
