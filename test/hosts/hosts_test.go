package hosts

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestHosts: the hosts reach one another and the services of this network, and one that has died comes back.
func TestHosts(t *testing.T) {
	if err := Missing(); err != nil {
		t.Skip(err)
	}
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	go func() {
		for {
			c, err := service.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "served")
			c.Close()
		}
	}()
	p, err := New(Options{Dir: t.TempDir(), Services: []string{service.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	dir := p.One.Root()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	})
	if err := os.WriteFile(p.Two.Path("note"), []byte("of two"), 0o600); err != nil {
		t.Fatal(err)
	}
	reachEachOther(t, p)
	speaks(t, p.One, "served", "bash", "-c", "cat </dev/tcp/127.0.0.1/"+port(t, service))
	if err := p.Two.Die(); err != nil {
		t.Fatal(err)
	}
	if out := run(t, p.One, "ssh", "-o", "ConnectTimeout=5", p.Two.Address, "true"); out == "" {
		t.Error("a host that has died lets others in")
	}
	if err := p.Two.Return(); err != nil {
		t.Fatal(err)
	}
	reachEachOther(t, p)
}

// reachEachOther checks that the first host reaches the second one's files and libvirtd.
func reachEachOther(t *testing.T, p *Pair) {
	t.Helper()
	speaks(t, p.One, "of two", "ssh", p.Two.Address, "cat", filepath.Join(StatePath, "note"))
	speaks(t, p.One, "two\n\n", "virsh", "--connect", "qemu+ssh://two/system", "hostname")
}

// speaks checks what a program on the host says.
func speaks(t *testing.T, h *Host, want string, argv ...string) {
	t.Helper()
	if out := run(t, h, argv...); out != want {
		t.Errorf("%q on %s says %q, want %q", argv, h.Name, out, want)
	}
}

func run(t *testing.T, h *Host, argv ...string) string {
	t.Helper()
	var out bytes.Buffer
	program, err := h.Run(&out, argv[0], argv[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	<-program.Done()
	return out.String()
}

func port(t *testing.T, l net.Listener) string {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
