package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// tlsListener is the broker's TLS side: a certificate authority of its own and
// a certificate for "localhost" (not for 127.0.0.1, so that host name
// verification can be tested).
type tlsListener struct {
	port          int
	ca, cert, key string
}

// TLSURL is the transport_url of the TLS listener by the name in its certificate.
func (b *Broker) TLSURL() string {
	return fmt.Sprintf("rabbit://guest:guest@localhost:%d/", b.tls.port)
}

// TLSAddress is the transport_url of the TLS listener by an address that its
// certificate does not name.
func (b *Broker) TLSAddress() string {
	return fmt.Sprintf("rabbit://guest:guest@127.0.0.1:%d/", b.tls.port)
}

// CAFile is the authority that signed the TLS listener's certificate.
func (b *Broker) CAFile() string { return b.tls.ca }

func (l *tlsListener) config() []string {
	if l == nil {
		return nil
	}
	return []string{
		fmt.Sprintf("listeners.ssl.1 = %s", net.JoinHostPort("127.0.0.1", fmt.Sprint(l.port))),
		"ssl_options.cacertfile = " + l.ca,
		"ssl_options.certfile = " + l.cert,
		"ssl_options.keyfile = " + l.key,
		"ssl_options.verify = verify_none",
	}
}

func newTLSListener(dir string, port int) (*tlsListener, error) {
	l := &tlsListener{
		port: port,
		ca:   filepath.Join(dir, "ca.pem"), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	for file, block := range map[string]*pem.Block{
		l.ca:   {Type: "CERTIFICATE", Bytes: caDER},
		l.cert: {Type: "CERTIFICATE", Bytes: der},
		l.key:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o400); err != nil {
			return nil, err
		}
	}
	return l, nil
}
