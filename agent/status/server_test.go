package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestHealth(t *testing.T) {
	for name, tt := range map[string]struct {
		links []Link
		want  State
	}{
		"none":  {[]Link{}, Pass},
		"fine":  {[]Link{{State: Pass}, {State: Pass}}, Pass},
		"ails":  {[]Link{{State: Pass}, {State: Warn}}, Warn},
		"worst": {[]Link{{State: Warn}, {State: Fail}, {State: Pass}}, Fail},
	} {
		if got := worst(tt.links); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestSourceMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(&sourceCollector{sample{}, NewBoard(BoardOptions{}), time.Second}); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP bolide_capacity_claimed What guests claim: VCPUs, MiB, GiB.
# TYPE bolide_capacity_claimed gauge
bolide_capacity_claimed{resource="disk_gb"} 20
bolide_capacity_claimed{resource="memory_mb"} 2048
bolide_capacity_claimed{resource="vcpu"} 2
# HELP bolide_info Always 1; the labels say what runs.
# TYPE bolide_info gauge
bolide_info{host="node-1",release="zed",version="1.0"} 1
# HELP bolide_instances Instances on the node.
# TYPE bolide_instances gauge
bolide_instances{power_state="running",vm_state="active"} 1
# HELP bolide_link_up 1 while the link works.
# TYPE bolide_link_up gauge
bolide_link_up{link="amqp"} 1
bolide_link_up{link="placement"} 1
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "bolide_capacity_claimed", "bolide_info", "bolide_instances", "bolide_link_up"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// start runs a server and returns what Run returned, for servers that cannot.
func startError(t *testing.T, path string) error {
	t.Helper()
	s, err := NewServer(Options{Path: path, Source: sample{}, Board: busyBoard(), Log: quietLog()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return s.Run(ctx)
}

func TestSocketInTheWay(t *testing.T) {
	_, o := serve(t, Options{})
	if err := startError(t, o.Path); err == nil || !strings.Contains(err.Error(), "another daemon answers there") {
		t.Errorf("second server: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := startError(t, file); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the way: %v", err)
	}

	stale := filepath.Join(filepath.Dir(o.Path), "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	c, _ := serve(t, Options{Path: stale})
	var s Snapshot
	if err := c.Get(t.Context(), "/v1/status", &s); err != nil || s.Host != "node-1" {
		t.Errorf("over a stale socket: %v", err)
	}
}

// visit is what a process of another user does: look, then act.
func visit(path string) {
	c := NewClient(path)
	var h Health
	fmt.Println("look:", c.Get(context.Background(), "/v1/health", &h))
	var l LogLevel
	fmt.Println("act:", c.Put(context.Background(), "/v1/log-level", LogChange{Level: "debug"}, &l))
}

// TestPeers comes to the socket as other users.
func TestPeers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be others")
	}
	group, gid := anyGroup(t)
	_, o := serve(t, Options{Group: group})
	st, err := os.Stat(o.Path)
	if err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("mode of the socket: %v, %v", st.Mode(), err)
	}
	self := ownBinary(t)
	for name, tt := range map[string]struct {
		groups    []uint32
		anyone    bool // the file lets everyone in
		look, act string
	}{
		"in the group":        {groups: []uint32{7, gid}, look: "<nil>", act: "only root may do that"},
		"not in the group":    {groups: []uint32{7}, look: "permission denied", act: "permission denied"},
		"file mode was eased": {groups: []uint32{7}, anyone: true, look: "only root and the socket's group may look", act: "only root and the socket's group may look"},
	} {
		t.Run(name, func(t *testing.T) {
			mode := os.FileMode(0o660)
			if tt.anyone {
				mode = 0o666
			}
			if err := os.Chmod(o.Path, mode); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Dir = "/"
			cmd.Env = []string{"STATUS_TEST_VISITOR=" + o.Path}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: tt.groups}}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if len(lines) != 2 || !strings.HasSuffix(lines[0], tt.look) || !strings.HasSuffix(lines[1], tt.act) {
				t.Errorf("visitor says:\n%s", out)
			}
		})
	}
}

// ownBinary copies the test's binary to where every user may run it.
func ownBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "visitor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "visitor")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func anyGroup(t *testing.T) (string, uint32) {
	t.Helper()
	for id := 1; id < 100; id++ {
		if g, err := user.LookupGroupId(strconv.Itoa(id)); err == nil && id != 7 {
			return g.Name, uint32(id)
		}
	}
	t.Skip("no group but root's")
	return "", 0
}

func TestRules(t *testing.T) {
	r := rules{self: 64060, gid: 500}
	for name, tt := range map[string]struct {
		p         peer
		look, act bool
	}{
		"root":              {peer{uid: 0}, true, true},
		"the daemon's user": {peer{uid: 64060}, true, true},
		"primary group":     {peer{uid: 1000, groups: []uint32{500}}, true, false},
		"another group":     {peer{uid: 1000, groups: []uint32{1000, 500}}, true, false},
		"a stranger":        {peer{uid: 1000, groups: []uint32{1000, 0}}, false, false},
	} {
		if r.mayLook(tt.p) != tt.look || r.mayAct(tt.p) != tt.act {
			t.Errorf("%s: look %v, act %v", name, r.mayLook(tt.p), r.mayAct(tt.p))
		}
	}
	if (rules{gid: -1}).mayLook(peer{uid: 1000, groups: []uint32{0}}) {
		t.Error("without a group a stranger may look")
	}
}

func TestGateKeepsPlacesForRoot(t *testing.T) {
	g := newGate(nil, 4, rules{self: 64060, gid: 500})
	user, root := peer{uid: 1000}, peer{uid: 0}
	for i, tt := range []struct {
		p    peer
		want bool
	}{{user, true}, {user, true}, {user, false}, {root, true}, {root, true}, {root, false}} {
		if got := g.take(tt.p); got != tt.want {
			t.Errorf("connection %d: %v, want %v", i, got, tt.want)
		}
	}
	g.give(user)
	if !g.take(user) || g.take(root) {
		t.Error("a place given back was not the user's")
	}
}

// Clients that say nothing, say it slowly or say too much lose their place.
func TestHostileClients(t *testing.T) {
	c, o := serve(t, Options{MaxConns: 4, RequestTimeout: 300 * time.Millisecond})
	var silent []net.Conn
	for range 4 {
		conn, err := net.Dial("unix", o.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	if _, err := silent[0].Write([]byte("GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	if err := c.Get(t.Context(), "/v1/status", &s); err == nil {
		t.Error("a fifth connection was taken")
	}
	for i, conn := range silent {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("silent client %d was not closed: %v", i, err)
		}
	}
	awaitAnswer(t, c)

	for name, req := range map[string]string{
		"long header": "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"no HTTP":     "\x16\x03\x01\x02\x00\r\n\r\n",
		"long body":   "PUT /v1/log-level HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{\"level\":\"" + strings.Repeat("x", 8<<10),
	} {
		conn, err := net.Dial("unix", o.Path)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = conn.Write([]byte(req)) // may be cut short: that is the point
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%s: answered %.60q", name, answer)
		}
		conn.Close()
	}
	awaitAnswer(t, c)
}

// Somebody who asks for events and does not read them is dropped.
func TestStuckEventReader(t *testing.T) {
	board := NewBoard(BoardOptions{})
	_, o := serve(t, Options{Board: board, RequestTimeout: 200 * time.Millisecond})
	conn, err := net.Dial("unix", o.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	watching := func() int {
		board.mu.Lock()
		defer board.mu.Unlock()
		return len(board.watchers)
	}
	deadline := time.Now().Add(20 * time.Second)
	await := func(n int, work func()) {
		for watching() != n {
			if time.Now().After(deadline) {
				t.Fatalf("%d watchers, want %d", watching(), n)
			}
			work()
			time.Sleep(time.Millisecond)
		}
	}
	await(1, func() {})
	await(0, func() { // fill the socket's buffers
		for range 100 {
			board.Begin(Operation{Name: strings.Repeat("x", 1000)}).End(nil)
		}
	})
}

func TestStopEndsStreams(t *testing.T) {
	dir := t.TempDir()
	s, err := NewServer(Options{Path: filepath.Join(dir, "s"), Source: sample{}, Board: NewBoard(BoardOptions{}), Log: quietLog()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := NewClient(filepath.Join(dir, "s"))
	awaitAnswer(t, c)
	body, err := c.Open(t.Context(), http.MethodGet, "/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("an open stream kept the server from stopping")
	}
	if _, err := os.Stat(filepath.Join(dir, "s")); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestOptionsAreRequired(t *testing.T) {
	if _, err := NewServer(Options{Path: "/x"}); err == nil {
		t.Error("a server without a source")
	}
}
