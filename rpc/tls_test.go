package rpc

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

func TestTLS(t *testing.T) {
	b := rabbit.Get(t)
	noCA := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(noCA, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		err    string
	}{
		{"no authority, nothing verified", func(o *Options) { o.TransportURL = b.TLSAddress() }, ""},
		{"authority", func(o *Options) { o.TransportURL, o.SSLCAFile = b.TLSURL(), b.CAFile() }, ""},
		{"authority and another name", func(o *Options) { o.TransportURL, o.SSLCAFile = b.TLSAddress(), b.CAFile() }, ""},
		{"name verified", func(o *Options) { o.TransportURL, o.SSLCAFile, o.SSLEnforceHostname = b.TLSURL(), b.CAFile(), true }, ""},
		{"by the URL", func(o *Options) {
			o.TransportURL, o.SSL = b.TLSURL()+"?ssl=true&ssl_version=TLSv1_2&ssl_ca_file="+b.CAFile(), false
		}, ""},
		{"another name, verified", func(o *Options) { o.TransportURL, o.SSLCAFile, o.SSLEnforceHostname = b.TLSAddress(), b.CAFile(), true }, "cannot validate certificate for 127.0.0.1"},
		{"another authority", func(o *Options) { o.TransportURL, o.SSLCAFile = b.TLSURL(), "testdata/tls/other-ca.pem" }, "certificate signed by unknown authority"},
		{"empty authority", func(o *Options) { o.TransportURL, o.SSLCAFile = b.TLSURL(), noCA }, "holds no certificate"},
		{"no such authority", func(o *Options) { o.TransportURL, o.SSLCAFile = b.TLSURL(), "/nonexistent" }, "ssl_ca_file: open /nonexistent"},
		{"no such certificate", func(o *Options) { o.TransportURL, o.SSLCertFile = b.TLSURL(), "/nonexistent" }, "ssl_cert_file: open /nonexistent"},
		{"plain port", func(o *Options) { o.TransportURL = b.URL() }, "TLS: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := run(t, func(o *Options) { o.SSL = true; c.change(o) })
			if c.err == "" {
				n.up(t)
				if c.name == "by the URL" {
					n.mu.Lock()
					state := n.session.recvConn.Conn.(*tls.Conn).ConnectionState()
					n.mu.Unlock()
					if state.Version != tls.VersionTLS12 {
						t.Errorf("protocol %s", tls.VersionName(state.Version))
					}
				}
				return
			}
			eventually(t, "the error", func() bool { return n.State().Peer != "" })
			if s := n.State(); s.Up || !strings.Contains(s.Err, c.err) {
				t.Errorf("state %+v, want error %s", s, c.err)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	b := rabbit.Get(t)
	for _, method := range []string{"PLAIN", "AMQPLAIN", "plain"} {
		run(t, func(o *Options) { o.LoginMethod = method }).up(t)
	}
	for name, c := range map[string]struct{ url, err string }{
		"wrong password":     {strings.Replace(b.URL(), "guest:guest", "guest:s3cret", 1), "check login credentials"},
		"no such vhost":      {b.URL() + "nowhere", "vhost nowhere not found"},
		"not an AMQP server": {"rabbit://" + silent(t) + "/", "i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			n := run(t, func(o *Options) { o.TransportURL = c.url })
			eventually(t, "the error", func() bool { return n.State().Peer != "" })
			if s := n.State(); s.Up || !strings.Contains(s.Err, c.err) {
				t.Errorf("state %+v, want error %s", s, c.err)
			}
			if got := strings.Join(n.logged(logrus.DebugLevel), "\n"); strings.Contains(got, "s3cret") {
				t.Errorf("the password is in the log: %s", got)
			}
		})
	}
}

// silent accepts connections and says nothing.
func silent(t *testing.T) string {
	r := newRelay(t)
	r.swallow(true)
	return r.Addr().String()
}

// TestStopWhileConnecting must not wait for a silent peer.
func TestStopWhileConnecting(t *testing.T) {
	n := run(t, func(o *Options) { o.TransportURL = "rabbit://" + silent(t) + "/" })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	n.WaitUp(ctx)
	began := time.Now()
	n.stop()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("stopped after %s", took)
	}
}
