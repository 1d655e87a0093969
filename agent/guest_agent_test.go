package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"testing"

	"bolide/rpc/nova"
	"bolide/test/guest"
	"bolide/test/virt"
)

const guestKernel = "../build/guest-kernel"

// bootWithAgent starts a guest with a system and an agent in it.
func (n *node) bootWithAgent(t *testing.T) virt.Guest {
	t.Helper()
	if testing.Short() {
		t.Skip("it boots a kernel under emulation")
	}
	if _, err := os.Stat(guestKernel + "/complete"); err != nil {
		t.Skip("the guests' kernel is not unpacked: .ci/deps demo")
	}
	g := n.daemon.NewGuest(t, virt.GuestOptions{
		MemoryMB: 192, Devices: `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`,
	})
	image := filepath.Join(t.TempDir(), "image")
	if err := guest.Build(within(t, patience), guest.Options{Kernel: guestKernel, Out: image}); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "convert", "-O", "raw", image, g.Disk)
	n.define(t, g.XML)
	n.startSaying(t, g, "guest: agent: listens")
	n.conductor.instance.Set("system_metadata", map[string]any{"image_hw_qemu_guest_agent": "yes", "image_os_admin_user": "admin"})
	return g
}

// TestGuestAgent asks an agent for what only it can do: a new password, which the record keeps for the key's owner, and
// file systems that stand still.
func TestGuestAgent(t *testing.T) {
	n := newNode(t, nil)
	g := n.bootWithAgent(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n.conductor.instance.Set("key_data", publicKey(t, key.Public()))
	if _, err := n.ask(t, opSetAdminPassword, nova.TaskUpdatingPassword, map[string]any{"new_pass": "s3same"}); err != nil {
		t.Fatal(err)
	}
	n.wrote(t, []string{
		"event start compute_set_admin_password", "save task_state=none if updating_password",
		"event finish_with_failure compute_set_admin_password",
	})
	g.WaitConsole(t, "guest: agent: password of admin is s3same")
	meta := nova.As[nova.Instance](n.conductor.instance).SystemMetadata()
	if kept := opened(t, key, meta["password_0"]+meta["password_1"]); kept != "s3same" {
		t.Errorf("kept for the key's owner: %q", kept)
	}
	for _, c := range []struct {
		op   func(*Agent) operation
		says string
	}{{opQuiesce, "freeze"}, {opUnquiesce, "thaw"}} {
		if _, err := n.ask(t, c.op, "", nil); err != nil {
			t.Error(err)
		}
		g.WaitConsole(t, "guest: agent: file systems freeze-"+c.says)
	}
}
