package netplug

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// TestConnections: the database is reached over a socket, TCP and TLS, and TLS
// means that both ends show who they are.
func TestConnections(t *testing.T) {
	ns := newNamespace(t)
	ns.do(func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Error(err)
		}
	})
	o := newOVS(t, ns)
	o.must(o.StopServer())
	cert, key := selfSigned(t)
	o.must(o.StartServer("--remote=ptcp:6640:127.0.0.1", "--remote=pssl:6641:127.0.0.1", "--remote=ptcp:6642:[::1]",
		"--private-key="+key, "--certificate="+cert, "--ca-cert="+cert))
	for _, c := range []struct {
		name, connection string
		tls              TLSFiles
		refused          bool
	}{
		{name: "unix", connection: o.Connection()},
		{name: "tcp", connection: "tcp:127.0.0.1:6640"},
		{name: "tcp6", connection: "tcp:[::1]:6642"},
		{name: "tls", connection: "ssl:127.0.0.1:6641", tls: TLSFiles{CA: cert, Cert: cert, Key: key}},
		{name: "tls with a server that is not known", connection: "ssl:127.0.0.1:6641", tls: TLSFiles{Cert: cert, Key: key}, refused: true},
		{name: "tls without a certificate", connection: "ssl:127.0.0.1:6641", tls: TLSFiles{CA: cert}, refused: true},
		{name: "tls without its files", connection: "ssl:127.0.0.1:6641", tls: TLSFiles{CA: o.Path("none")}, refused: true},
		{name: "unknown", connection: "http://127.0.0.1", refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := settleTime
			if c.refused {
				timeout = time.Second / 2
			}
			d := &database{log: Options{}.logger(), options: OVSOptions{Connection: c.connection, TLS: c.tls, Timeout: timeout}}
			var err error
			ns.do(func() { err = d.Ensure(t.Context(), portState()) })
			if (err != nil) != c.refused {
				t.Errorf("error %v, refused should be %t", err, c.refused)
			}
		})
	}
}

// selfSigned makes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ovs"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
