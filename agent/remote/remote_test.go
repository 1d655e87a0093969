package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// host starts a real sshd for the test and returns the configuration with which ssh reaches it as "other".
func host(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"sshd", "ssh", "ssh-keygen", "scp", "rsync"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "client"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("make a key: %v: %s", err, out)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	write(t, filepath.Join(dir, "sshd_config"), fmt.Sprintf(
		"Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/client.pub\nStrictModes no\nUsePAM no\n"+
			"PermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\n", port, dir, dir))
	config := filepath.Join(dir, "ssh_config")
	write(t, config, fmt.Sprintf(
		"Host other\n HostName 127.0.0.1\n Port %d\n IdentityFile %s/client\n IdentitiesOnly yes\n StrictHostKeyChecking no\n"+
			" UserKnownHostsFile /dev/null\n LogLevel ERROR\nHost silent\n ProxyCommand sleep 60\n", port, dir))
	program, err := exec.LookPath("sshd") // it insists on its full name
	if err != nil {
		t.Fatal(err)
	}
	sshd := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	var log bytes.Buffer
	sshd.Stderr = &log
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sshd.Process.Kill(); _ = sshd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			c.Close()
			return config
		}
		if time.Now().After(deadline) {
			t.Fatalf("sshd does not answer: %v: %s", err, log.String())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) *FS {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestFilesOfAnotherHost(t *testing.T) {
	config := host(t)
	for _, by := range []string{SSH, Rsync} {
		t.Run(by, func(t *testing.T) {
			f := open(t, Options{Transport: by, SSHConfig: config})
			dir := filepath.Join(t.TempDir(), "instances", "an instance")
			for range 2 { // may be there already
				if err := f.MakeDir(t.Context(), "other", dir); err != nil {
					t.Fatal(err)
				}
			}
			probe := filepath.Join(dir, "probe.tmp")
			neighbour := filepath.Join(dir, "disk.info")
			write(t, neighbour, "{}")
			if err := f.Touch(t.Context(), "other", probe); err != nil || !there(probe) {
				t.Errorf("touch: %v, there: %t", err, there(probe))
			}
			if err := f.Remove(t.Context(), "other", probe); err != nil || there(probe) || !there(neighbour) {
				t.Errorf("remove: %v, there: %t, neighbour: %t", err, there(probe), there(neighbour))
			}
			if err := f.RemoveDir(t.Context(), "other", dir); err != nil || there(dir) || !there(filepath.Dir(dir)) {
				t.Errorf("remove directory: %v, there: %t", err, there(dir))
			}
		})
	}
}

func TestCopy(t *testing.T) {
	config := host(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	for _, by := range []string{SSH, Rsync} {
		t.Run(by, func(t *testing.T) {
			f := open(t, Options{Transport: by, SSHConfig: config, Bandwidth: 1 << 20})
			dir := t.TempDir()
			src, there, back := filepath.Join(dir, "src"), filepath.Join(dir, "there"), filepath.Join(dir, "back")
			write(t, src, string(content))
			write(t, there, "what is there is replaced")
			var told []int64
			began := time.Now()
			if err := f.Push(t.Context(), Copy{Host: "other", Src: src, Dst: there, Progress: func(n int64) { told = append(told, n) }}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < 500*time.Millisecond {
				t.Errorf("1 MiB went over a bound of 1 MiB/s in %s", took)
			}
			if len(told) == 0 || told[len(told)-1] > int64(len(content)) {
				t.Errorf("progress %v", told)
			}
			if err := f.Pull(t.Context(), Copy{Host: "other", Src: there, Dst: back, Compress: true}); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
		})
	}
}

func TestCopyIsCancelledWithAllItStarted(t *testing.T) {
	config := host(t)
	for _, by := range []string{SSH, Rsync} {
		t.Run(by, func(t *testing.T) {
			f := open(t, Options{Transport: by, SSHConfig: config, Bandwidth: 64 << 10})
			dir := t.TempDir()
			src := filepath.Join(dir, "disk")
			write(t, src, strings.Repeat("x", 8<<20))
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("the guest is deleted")
			began := time.Now()
			err := f.Push(ctx, Copy{Host: "other", Src: src, Dst: filepath.Join(dir, "copy"), Progress: func(int64) { cancel(why) }})
			if !errors.Is(err, why) {
				t.Errorf("err = %v", err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s to end", took)
			}
			if pos := position(os.Getpid(), src); pos != -1 {
				t.Errorf("a process still reads the file, at %d", pos)
			}
		})
	}
}

func TestASilentHost(t *testing.T) {
	config := host(t)
	f := open(t, Options{SSHConfig: config, Limit: time.Second, Stall: time.Second})
	if err := f.MakeDir(t.Context(), "silent", "/tmp"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("command: %v", err)
	}
	src := filepath.Join(t.TempDir(), "disk")
	write(t, src, "x")
	if err := f.Push(t.Context(), Copy{Host: "silent", Src: src, Dst: src}); !errors.Is(err, errStalled) {
		t.Errorf("copy: %v", err)
	}
}

func TestAFailureShowsCommandAndOutput(t *testing.T) {
	config := host(t)
	f := open(t, Options{SSHConfig: config})
	err := f.MakeDir(t.Context(), "other", "/proc/no/such")
	var failed *Error
	if !errors.As(err, &failed) || failed.Argv[0] != "ssh" || !strings.Contains(err.Error(), "mkdir -p /proc/no/such") ||
		!strings.Contains(err.Error(), "annot create directory") {
		t.Errorf("err = %v", err)
	}
}

// The commands are those of Nova's own node, whose hosts may allow no others.
func TestCommands(t *testing.T) {
	type commands = [][]string
	ssh, rsync := overSSH{}, overRsync{}
	of := func(c commands, done func(), err error) commands {
		if err != nil {
			t.Fatal(err)
		}
		done()
		return c
	}
	for name, c := range map[string]struct{ got, want commands }{
		"ssh mkdir": {of(ssh.makeDir("h", "/i/u")), commands{{"ssh", "-o", "BatchMode=yes", "--", "h", "mkdir", "-p", "/i/u"}}},
		"ssh rm -rf": {of(ssh.removeDir("h", "/i/u v")),
			commands{{"ssh", "-o", "BatchMode=yes", "--", "h", "rm", "-rf", "'/i/u v'"}}},
		"ssh touch": {of(ssh.touch("h", "/i/u/x.tmp")), commands{{"ssh", "-o", "BatchMode=yes", "--", "h", "touch", "/i/u/x.tmp"}}},
		"ssh rm":    {of(ssh.remove("h", "/i/u/x.tmp")), commands{{"ssh", "-o", "BatchMode=yes", "--", "h", "rm", "/i/u/x.tmp"}}},
		"scp": {commands{ssh.copyFile(transfer{src: "/a", dst: remotePath("fd00::1", "/b"), compress: true, bandwidth: 1 << 20})},
			commands{{"scp", "-C", "-l", "8388", "-r", "--", "/a", "[fd00::1]:/b"}}},
		"rsync": {commands{rsync.copyFile(transfer{src: "/a", dst: remotePath("h", "/b"), compress: true, bandwidth: 1 << 20})},
			commands{{"rsync", "-r", "--sparse", "--compress", "--bwlimit=1024", "--", "/a", "h:/b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := New(Options{Transport: "ftp"}); err == nil {
		t.Error("an unknown transport is taken")
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"-p": "-p", "/var/lib/nova/instances": "/var/lib/nova/instances", "": "''", "a b": "'a b'", "a'b": `'a'\''b'`, "$(x)": "'$(x)'",
	} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s, want %s", word, got, want)
		}
	}
}
