package cloud

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
)

// Keys is the client of the key manager, Barbican's API v1, as far as a node needs certificates and passphrases of it.
type Keys struct{ svc *service }

// maxSecret bounds what is read of a secret, in bytes.
const maxSecret = 64 << 10

// Certificate reads a certificate that is kept as a secret, in PEM or DER. The user must be allowed to read it.
func (c *Keys) Certificate(ctx context.Context, id Identity, secretID string) (*x509.Certificate, error) {
	content, err := c.Secret(ctx, id, secretID)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(content); block != nil {
		content = block.Bytes
	}
	cert, err := x509.ParseCertificate(content)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", secretID, err)
	}
	return cert, nil
}

// Secret reads what a secret holds, in the form in which it was stored. The user must be allowed to read it.
func (c *Keys) Secret(ctx context.Context, id Identity, secretID string) ([]byte, error) {
	var secret struct {
		Types map[string]string `json:"content_types"`
	}
	err := c.svc.do(ctx, id, request{method: http.MethodGet, path: secretPath(secretID), out: &secret, ok: []int{http.StatusOK}})
	if err != nil {
		return nil, err
	}
	accept := secret.Types["default"]
	if accept == "" {
		return nil, fmt.Errorf("secret %s has no content", secretID)
	}
	got, err := c.svc.open(ctx, id, request{
		method: http.MethodGet, path: secretPath(secretID) + "/payload", stream: true, ok: []int{http.StatusOK},
		header: map[string]string{"Accept": accept},
	})
	if err != nil {
		return nil, err
	}
	defer got.body.Close()
	content, err := io.ReadAll(io.LimitReader(got.body, maxSecret))
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", secretID, err)
	}
	return content, nil
}

// StorePassphrase keeps a passphrase as a secret of the user's project, in the form of Nova's key manager, and returns
// its id.
func (c *Keys) StorePassphrase(ctx context.Context, id Identity, name string, passphrase []byte) (string, error) {
	var made struct {
		Ref string `json:"secret_ref"`
	}
	err := c.svc.do(ctx, id, request{
		method: http.MethodPost, path: "/v1/secrets", out: &made, ok: []int{http.StatusCreated},
		in: map[string]string{
			"name": name, "secret_type": "passphrase", "payload": base64.StdEncoding.EncodeToString(passphrase),
			"payload_content_type": "application/octet-stream", "payload_content_encoding": "base64",
		},
	})
	if err != nil {
		return "", err
	}
	ref, err := url.Parse(made.Ref)
	if err != nil || made.Ref == "" {
		return "", fmt.Errorf("the key manager names no secret: %q", made.Ref)
	}
	return path.Base(ref.Path), nil
}

// Delete removes a secret. The user must be allowed to.
func (c *Keys) Delete(ctx context.Context, id Identity, secretID string) error {
	return c.svc.do(ctx, id, request{method: http.MethodDelete, path: secretPath(secretID), ok: []int{http.StatusNoContent}})
}

func secretPath(id string) string { return "/v1/secrets/" + url.PathEscape(id) }
