package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A password is kept in this many entries of the system metadata, each of so many bytes at most; Nova's limits.
const (
	passwordParts = 4
	passwordPart  = 255
)

// keepPassword puts the password on the record, readable for the owner of the instance's RSA key alone, where
// GET /servers/{id}/os-server-password finds it. Without such a key it is kept nowhere. A password that cannot be
// encrypted (the key is too small for it) takes the place of an older one all the same, which is no longer the guest's.
func (t *task) keepPassword(password string) {
	if !strings.HasPrefix(t.inst.KeyData(), ssh.KeyAlgoRSA) {
		return
	}
	sealed, err := sealPassword(t.inst.KeyData(), password)
	if err != nil {
		t.log.WithError(err).Warn("password not kept for its user")
	}
	for i := range passwordParts {
		part := sealed[:min(passwordPart, len(sealed))]
		t.inst.PutSystemMetadata(fmt.Sprintf("password_%d", i), part)
		sealed = sealed[len(part):]
	}
}

// sealPassword encrypts a password with an SSH public key, as "nova get-password" decrypts it.
func sealPassword(key, password string) (string, error) {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
	if err != nil {
		return "", fmt.Errorf("read the instance's key: %w", err)
	}
	var recipient *rsa.PublicKey
	if holder, ok := public.(ssh.CryptoPublicKey); ok { // a certificate is none
		recipient, _ = holder.CryptoPublicKey().(*rsa.PublicKey) // nil for keys of other kinds
	}
	if recipient == nil {
		return "", fmt.Errorf("the instance's key is a %s", public.Type())
	}
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, recipient, []byte(password)) //nolint:staticcheck // what clients decrypt
	if err != nil {
		return "", fmt.Errorf("encrypt the password: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(sealed)
	if len(text) > passwordParts*passwordPart {
		return "", fmt.Errorf("the instance's key is too large: %d bits", recipient.N.BitLen())
	}
	return text, nil
}
