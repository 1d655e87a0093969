package ops

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"bolide/test/openstack/api"
)

// refused says whether Nova's API refused a request in a way that its clients
// understand.
func refused(err error) bool {
	return gophercloud.ResponseCodeIs(err, http.StatusConflict) || gophercloud.ResponseCodeIs(err, http.StatusNotImplemented)
}

// badRequest says whether Nova's API found fault with a request itself.
func badRequest(err error) bool { return gophercloud.ResponseCodeIs(err, http.StatusBadRequest) }

func (s *Session) consoleLogTail(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	if err := s.Sees(ctx, id, `guest: ready`); err != nil {
		return err
	}
	text, err := s.ConsoleText(ctx, id, 3)
	if err != nil {
		return err
	}
	if n := len(strings.Split(strings.TrimSpace(text), "\n")); n > 3 || strings.TrimSpace(text) == "" {
		return fmt.Errorf("asked for 3 lines, got %d: %q", n, text)
	}
	return nil
}

// bootLogIsShort: an operator reads what a boot did in a few lines, finds them by
// the guest or by the request, and sees no error where there was none.
func (s *Session) bootLogIsShort(ctx context.Context) error {
	const most = 12
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	log, err := os.ReadFile(s.node.Log())
	if err != nil {
		return err
	}
	var infos int
	for line := range strings.Lines(string(log)) {
		switch {
		case !strings.Contains(line, id):
		case strings.Contains(line, " ERROR "):
			return fmt.Errorf("error in the log: %s", line)
		case !strings.Contains(line, " INFO "):
		case !strings.Contains(line, "req-"):
			return fmt.Errorf("no request in the log: %s", line)
		default:
			infos++
		}
	}
	if infos == 0 || infos > most {
		return fmt.Errorf("%d lines in the log tell of the boot, want 1 to %d", infos, most)
	}
	return nil
}

// vncConsole goes all the way of a user's browser: from Nova's API to the token,
// from the token through Nova's proxy to QEMU.
func (s *Session) vncConsole(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	var made struct {
		Console struct{ URL string } `json:"remote_console"`
	}
	err = s.Post(ctx, api.ServerURL(id)+"/remote-consoles",
		map[string]any{"remote_console": map[string]any{"protocol": "vnc", "type": "novnc"}}, &made)
	if err != nil {
		return err
	}
	link, err := url.Parse(made.Console.URL)
	if err != nil {
		return err
	}
	path, err := url.Parse(link.Query().Get("path")) // as in …/vnc_auto.html?path=%3Ftoken%3D<token>
	if err != nil {
		return err
	}
	hello, err := webSocketHello(ctx, link.Host, "/websockify?token="+path.Query().Get("token"))
	if err != nil {
		return fmt.Errorf("console at %s: %w", made.Console.URL, err)
	}
	if !strings.HasPrefix(hello, "RFB 003.") {
		return fmt.Errorf("console at %s says %q, which is not VNC", made.Console.URL, hello)
	}
	return nil
}

// webSocketHello opens a WebSocket and returns the first message (RFC 6455; only
// short ones are understood).
func webSocketHello(ctx context.Context, host, path string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n", path, host)
	if err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return "", fmt.Errorf("proxy answers %s", resp.Status)
	}
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", err
	}
	if head[1] > 125 {
		return "", errors.New("first message is too long")
	}
	message := make([]byte, head[1])
	_, err = io.ReadFull(in, message)
	return string(message), err
}

func (s *Session) diagnostics(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	var d struct {
		State string
		NICs  []any `json:"nic_details"`
		Disks []any `json:"disk_details"`
		CPUs  []any `json:"cpu_details"`
	}
	if err := s.Get(ctx, api.ServerURL(id)+"/diagnostics", &d); err != nil {
		return err
	}
	if d.State != "running" || len(d.NICs) != 1 || len(d.Disks) == 0 || len(d.CPUs) != 1 {
		return fmt.Errorf("diagnostics: %+v", d)
	}
	return nil
}

// hostUptime: Nova asks the node itself, with older versions of its API in a call
// of their own.
func (s *Session) hostUptime(ctx context.Context) error {
	old := s.At("2.87")
	var found struct{ Hypervisors []struct{ ID string } }
	if err := old.Get(ctx, api.Compute+"/os-hypervisors", &found); err != nil {
		return err
	}
	if len(found.Hypervisors) != 1 {
		return fmt.Errorf("%d hypervisors, want 1", len(found.Hypervisors))
	}
	var one struct{ Hypervisor struct{ Uptime string } }
	err := old.Get(ctx, api.Compute+"/os-hypervisors/"+found.Hypervisors[0].ID+"/uptime", &one)
	if err == nil && !strings.Contains(one.Hypervisor.Uptime, "load average") {
		err = fmt.Errorf("uptime is %q", one.Hypervisor.Uptime)
	}
	return err
}

// consolesAreRefused: a console that the host does not offer is refused and not
// promised.
func (s *Session) consolesAreRefused(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		for protocol, kind := range map[string]string{"spice": "spice-html5", "serial": "serial"} {
			what := map[string]any{"remote_console": map[string]any{"protocol": protocol, "type": kind}}
			if err := s.Post(ctx, api.ServerURL(id)+"/remote-consoles", what, nil); !badRequest(err) {
				return fmt.Errorf("%s console: %w", protocol, err)
			}
		}
		return nil
	})
}

// diagnosticsInFull: both forms of a guest's diagnostics have all that libvirt
// tells of it.
func (s *Session) diagnosticsInFull(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		var d struct {
			State, Driver, Hypervisor string
			OS                        string `json:"hypervisor_os"`
			Uptime                    int
			ConfigDrive               bool                        `json:"config_drive"`
			CPUs                      []struct{ ID, Time int64 }  `json:"cpu_details"`
			Memory                    struct{ Maximum, Used int } `json:"memory_details"` // MiB
			NICs                      []struct {
				MAC string `json:"mac_address"`
			} `json:"nic_details"`
			Disks []struct {
				ReadBytes int64 `json:"read_bytes"`
			} `json:"disk_details"`
		}
		url := api.ServerURL(id) + "/diagnostics"
		if err := s.Get(ctx, url, &d); err != nil {
			return err
		}
		if d.State != "running" || d.Driver != "libvirt" || d.Hypervisor != "qemu" || d.OS != "linux" || !d.ConfigDrive ||
			len(d.CPUs) != 1 || d.Memory.Maximum != 64 || len(d.NICs) != 1 || d.NICs[0].MAC == "" || len(d.Disks) == 0 {
			return fmt.Errorf("diagnostics: %+v", d)
		}
		var flat map[string]any
		if err := s.At("2.47").Get(ctx, url, &flat); err != nil {
			return err
		}
		for _, key := range []string{"cpu0_time", "memory", "vda_read", "vda_write_req"} {
			if flat[key] == nil {
				return fmt.Errorf("older diagnostics have no %s: %v", key, flat)
			}
		}
		return nil
	})
}

func (s *Session) hypervisorDetails(ctx context.Context) error {
	var found struct {
		Hypervisors []struct {
			Type    string `json:"hypervisor_type"`
			State   string
			Uptime  string
			Service struct{ Host string }
		}
	}
	if err := s.Get(ctx, api.Compute+"/os-hypervisors/detail", &found); err != nil {
		return err
	}
	if len(found.Hypervisors) != 1 {
		return fmt.Errorf("%d hypervisors, want 1", len(found.Hypervisors))
	}
	h := found.Hypervisors[0]
	if h.Type != "QEMU" || h.State != "up" || h.Service.Host == "" || !strings.Contains(h.Uptime, "load average") {
		return fmt.Errorf("hypervisor: %+v", h)
	}
	return nil
}
