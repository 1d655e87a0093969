package hosts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"bolide/test/virt"
)

// Missing tells what this machine lacks for hosts; nil if nothing.
func Missing() error {
	for _, tool := range []string{"sshd", "ssh", "scp", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("hosts need OpenSSH: %w", err)
		}
	}
	return virt.Missing()
}

// sshTimeout bounds how long sshd may take until it listens.
const sshTimeout = 60 * time.Second

const (
	clientConfig = "IdentityFile /etc/ssh/client\nIdentitiesOnly yes\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n" +
		"LogLevel ERROR\n"
	serverConfig = "HostKey /etc/ssh/host\nAuthorizedKeysFile /etc/ssh/client.pub\nStrictModes no\nUsePAM no\n" +
		"PermitRootLogin yes\nPidFile /var/lib/libvirt/sshd.pid\nSubsystem sftp internal-sftp\n"
)

// writeSSH makes what the hosts have below /etc/ssh: keys with which each reaches the other.
func (p *Pair) writeSSH() error {
	for _, key := range []string{"host", "client"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(p.ssh, key)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("make a key: %w: %s", err, out)
		}
	}
	client := clientConfig
	for _, h := range p.All() {
		client += fmt.Sprintf("Host %s\n HostName %s\n", h.Name, h.Address)
	}
	for name, text := range map[string]string{"ssh_config": client, "sshd_config": serverConfig} {
		if err := os.WriteFile(filepath.Join(p.ssh, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll("/run/sshd", 0o755) // where sshd separates its privileges
}

// startSSH lets the other host in. It returns when sshd listens.
func (h *Host) startSSH() error {
	program, err := exec.LookPath("sshd") // it insists on its full name
	if err != nil {
		return err
	}
	listens := filepath.Join(h.Root(), "sshd.pid")
	if err := os.Remove(listens); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sshd, err := h.Run(io.Discard, program, "-D", "-o", "ListenAddress="+h.Address)
	if err != nil {
		return err
	}
	late := time.After(sshTimeout)
	for {
		if _, err := os.Stat(listens); err == nil {
			return nil
		}
		select {
		case <-sshd.Done():
			return errors.New("sshd ended at once")
		case <-late:
			return fmt.Errorf("sshd does not listen after %s", sshTimeout)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
