package cloud

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Keys is the client of the key manager, Barbican's API v1, as far as a node needs certificates of it.
type Keys struct{ svc *service }

// maxCertificate bounds what is read of a secret, in bytes.
const maxCertificate = 64 << 10

// Certificate reads a certificate that is kept as a secret, in PEM or DER. The user must be allowed to read it.
func (c *Keys) Certificate(ctx context.Context, id Identity, secretID string) (*x509.Certificate, error) {
	path := "/v1/secrets/" + url.PathEscape(secretID)
	var secret struct {
		Types map[string]string `json:"content_types"`
	}
	if err := c.svc.do(ctx, id, request{method: http.MethodGet, path: path, out: &secret, ok: []int{http.StatusOK}}); err != nil {
		return nil, err
	}
	accept := secret.Types["default"]
	if accept == "" {
		return nil, fmt.Errorf("secret %s has no content", secretID)
	}
	got, err := c.svc.open(ctx, id, request{
		method: http.MethodGet, path: path + "/payload", stream: true, ok: []int{http.StatusOK},
		header: map[string]string{"Accept": accept},
	})
	if err != nil {
		return nil, err
	}
	defer got.body.Close()
	content, err := io.ReadAll(io.LimitReader(got.body, maxCertificate))
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", secretID, err)
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
