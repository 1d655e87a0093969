package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sys/unix"
)

const (
	// connectLimit bounds TCP, and TLS and AMQP greetings together each.
	connectLimit = 5 * time.Second
	// deadPeerLimit is how long sent bytes may go unacknowledged by the
	// broker's kernel before ours gives the connection up.
	deadPeerLimit = 15 * time.Second
	frameSize     = 128 << 10 // RabbitMQ's own default
)

// dial opens one AMQP connection. The returned corkConn is its transport.
func (o *Options) dial(ctx context.Context, h brokerHost, vhost string) (*amqp.Connection, *corkConn, error) {
	sasl, err := o.saslMechanism(h.user, h.password)
	if err != nil {
		return nil, nil, err
	}
	dialer := net.Dialer{Timeout: connectLimit, Control: limitDeadPeer}
	raw, err := dialer.DialContext(ctx, "tcp", h.addr())
	if err != nil {
		return nil, nil, err
	}
	// Greetings do not know contexts: without this a silent peer would hold us.
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if err := raw.SetDeadline(time.Now().Add(connectLimit)); err != nil {
		raw.Close()
		return nil, nil, err
	}
	conn := &corkConn{Conn: raw}
	if o.SSL {
		if conn.Conn, err = o.startTLS(ctx, raw, h.host); err != nil {
			raw.Close()
			return nil, nil, err
		}
	}
	c, err := amqp.Open(conn, amqp.Config{
		SASL: []amqp.Authentication{sasl}, Vhost: vhost, Locale: "en_US",
		FrameSize: frameSize, Heartbeat: o.HeartbeatThreshold,
		Properties: amqp.Table{
			"product":         "Bolide",
			"connection_name": fmt.Sprintf("%s:%d:%s", o.ProcessName, os.Getpid(), uuid.NewString()),
		},
	})
	if err != nil {
		raw.Close()
		if errors.Is(err, amqp.ErrCredentials) {
			err = fmt.Errorf("the broker closed the connection, check login credentials: %w", err)
		}
		return nil, nil, err
	}
	return c, conn, nil
}

func (o *Options) saslMechanism(user, password string) (amqp.Authentication, error) {
	switch strings.ToUpper(o.LoginMethod) {
	case "AMQPLAIN", "":
		return &amqp.AMQPlainAuth{Username: user, Password: password}, nil
	case "PLAIN":
		return &amqp.PlainAuth{Username: user, Password: password}, nil
	case "EXTERNAL":
		return &amqp.ExternalAuth{}, nil
	default:
		return nil, fmt.Errorf("rabbit_login_method %q is not supported, want PLAIN, AMQPLAIN or EXTERNAL", o.LoginMethod)
	}
}

// limitDeadPeer lets the kernel end a connection whose peer vanished.
func limitDeadPeer(_, _ string, c syscall.RawConn) error {
	var err error
	ctl := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeerLimit/time.Millisecond))
	})
	return errors.Join(ctl, err)
}

// startTLS greets the broker. As in oslo.messaging the certificate is verified
// only when an authority is given, and the name only when asked for, too.
func (o *Options) startTLS(ctx context.Context, raw net.Conn, host string) (net.Conn, error) {
	cfg, err := o.tlsConfig(host)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return c, nil
}

func (o *Options) tlsConfig(host string) (*tls.Config, error) {
	version, err := tlsVersion(o.SSLVersion)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{ServerName: host, MinVersion: version, MaxVersion: version, InsecureSkipVerify: true}
	if o.SSLCertFile != "" {
		cert, err := tls.LoadX509KeyPair(o.SSLCertFile, keyFile(o.SSLKeyFile, o.SSLCertFile))
		if err != nil {
			return nil, fmt.Errorf("ssl_cert_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	if o.SSLCAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(o.SSLCAFile)
	if err != nil {
		return nil, fmt.Errorf("ssl_ca_file: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ssl_ca_file: %s holds no certificate", o.SSLCAFile)
	}
	if o.SSLEnforceHostname {
		cfg.InsecureSkipVerify = false
	} else {
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, cfg.RootCAs) }
	}
	return cfg, nil
}

// verifyChain verifies the certificate, but not the name in it.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the broker sent no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// keyFile defaults to the certificate's file, which may hold the key, too.
func keyFile(key, cert string) string {
	if key != "" {
		return key
	}
	return cert
}

// tlsVersion reads ssl_version; 0 negotiates.
func tlsVersion(name string) (uint16, error) {
	switch strings.ToLower(name) {
	case "", "sslv23":
		return 0, nil
	case "tlsv1":
		return tls.VersionTLS10, nil
	case "tlsv1_1":
		return tls.VersionTLS11, nil
	case "tlsv1_2":
		return tls.VersionTLS12, nil
	case "tlsv1_3":
		return tls.VersionTLS13, nil
	default:
		return 0, fmt.Errorf("ssl_version %q is not supported, want TLSv1, TLSv1_1, TLSv1_2, TLSv1_3 or SSLv23", name)
	}
}
