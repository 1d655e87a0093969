package imagecache

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate for a key, signed by the authority or by itself.
func certificate(t *testing.T, key crypto.Signer, authority *x509.Certificate, by crypto.Signer) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		NotBefore: time.Now().Add(-time.Hour), IsCA: authority == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if authority == nil {
		authority, by = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, authority, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func sign(t *testing.T, key crypto.Signer, body []byte) string {
	t.Helper()
	sum := sha256.Sum256(body)
	var opts crypto.SignerOpts = crypto.SHA256
	if _, ok := key.(*rsa.PrivateKey); ok {
		// The image service's tools take the longest salt.
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: crypto.SHA256}
	}
	sig, err := key.Sign(rand.Reader, sum[:], opts)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

func TestSignatures(t *testing.T) {
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	root := certificate(t, ecKey, nil, nil)
	body := guest(4 << 20)
	for _, tc := range []struct {
		name   string
		key    crypto.Signer
		kind   string
		change func(*Image, *Signatures)
		fault  string
	}{
		{"rsa", rsaKey, "RSA-PSS", func(*Image, *Signatures) {}, ""},
		{"elliptic curve", ecKey, "ECC_SECP384R1", func(*Image, *Signatures) {}, ""},
		{"trusted", rsaKey, "RSA-PSS", func(_ *Image, s *Signatures) {
			s.Trusted = []string{"missing-id", "root-id"}
		}, ""},
		{"not trusted", rsaKey, "RSA-PSS", func(_ *Image, s *Signatures) { s.Trusted = []string{"cert-of-another"} }, "not trusted"},
		{"trusted one is gone", rsaKey, "RSA-PSS", func(_ *Image, s *Signatures) { s.Trusted = []string{"missing-id"} }, "no such secret"},
		{"of other bytes", rsaKey, "RSA-PSS", func(i *Image, _ *Signatures) { i.Properties[propSignature] = sign(t, rsaKey, nil) }, "signature"},
		{"of other bytes, elliptic", ecKey, "ECC_SECP384R1", func(i *Image, _ *Signatures) { i.Properties[propSignature] = sign(t, ecKey, nil) }, "match"},
		{"missing", rsaKey, "RSA-PSS", func(i *Image, _ *Signatures) { delete(i.Properties, propSignature) }, "img_signature is missing"},
		{"not base64", rsaKey, "RSA-PSS", func(i *Image, _ *Signatures) { i.Properties[propSignature] = "?" }, "base64"},
		{"hash not known", rsaKey, "RSA-PSS", func(i *Image, _ *Signatures) { i.Properties[propHash] = "MD5" }, "hash method"},
		{"key of another type", rsaKey, "ECC_SECP384R1", func(*Image, *Signatures) {}, "key type"},
		{"certificate not found", rsaKey, "RSA-PSS", func(_ *Image, s *Signatures) {
			s.Certificate = func(context.Context, string) (*x509.Certificate, error) { return nil, errors.New("no such secret") }
		}, "no such secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cert := certificate(t, tc.key, root, ecKey)
			kept := map[string]*x509.Certificate{"cert-id": cert, "root-id": root, "cert-of-another": certificate(t, rsaKey, nil, nil)}
			sigs := &Signatures{Certificate: func(_ context.Context, id string) (*x509.Certificate, error) {
				if kept[id] == nil {
					return nil, errors.New("no such secret")
				}
				return kept[id], nil
			}}
			s := newStore()
			img := s.put(imageID, "raw", body)
			img.Properties = map[string]string{propSignature: sign(t, tc.key, body), propHash: "SHA-256",
				propKeyType: tc.kind, propCertificate: "cert-id"}
			tc.change(&img, sigs)
			img.Signatures = sigs
			c := newCache(t, t.TempDir())
			b, err := c.Get(context.Background(), img, s, nil)
			if tc.fault == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer b.Release()
				if !bytes.Equal(mustRead(t, b.Path), body) {
					t.Error("the base is not the image")
				}
				return
			}
			var bad *ErrUnacceptable
			if !errors.As(err, &bad) || !strings.Contains(bad.Reason, tc.fault) {
				t.Errorf("got %v", err)
			}
		})
	}
}
