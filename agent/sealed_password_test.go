package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"bolide/rpc/nova"
)

// TestKeptPassword: the record has the new password so that the key's owner alone can read it, and nothing of an older
// one. A key that is no RSA key leaves the record as it is.
func TestKeptPassword(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, password, want string }{
		"RSA key":                 {publicKey(t, key.Public()), "s3same", "s3same"},
		"larger than the key":     {publicKey(t, key.Public()), strings.Repeat("x", 600), ""},
		"another kind of key":     {publicKey(t, other.Public()), "s3same", "old"},
		"no key":                  {"", "s3same", "old"},
		"a certificate":           {certificate(t, key), "s3same", ""},
		"what claims to be a key": {"ssh-rsa AAAA", "s3same", ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := nova.As[nova.Instance](nova.Zed().New("Instance"))
			i.Set("key_data", c.key)
			i.Set("system_metadata", map[string]any{"password_0": "old"})
			(&task{inst: i, log: quiet()}).keepPassword(c.password)
			var kept string
			for n := range passwordParts {
				kept += i.SystemMetadata()[fmt.Sprintf("password_%d", n)]
			}
			if c.want == c.password {
				kept = opened(t, key, kept)
			}
			if kept != c.want {
				t.Errorf("kept is %q, want %q", kept, c.want)
			}
		})
	}
}

// certificate is the key's, signed by itself.
func certificate(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert}
	if err := c.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(c))
}

func publicKey(t *testing.T, key any) string {
	t.Helper()
	k, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(k))
}

// opened is what the key's owner reads.
func opened(t *testing.T, key *rsa.PrivateKey, text string) string {
	t.Helper()
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := rsa.DecryptPKCS1v15(rand.Reader, key, sealed) //nolint:staticcheck // what clients do
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
