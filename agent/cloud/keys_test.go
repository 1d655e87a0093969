package cloud

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestCertificate checks the requests against Barbican's API reference for secrets.
func TestCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"der": der, "pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"words": []byte("no certificate"), "long": []byte(strings.Repeat("x", maxCertificate+1)),
	}
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-Auth-Token"); got != "of the user" {
			t.Errorf("asked with token %q", got)
		}
		id, payload := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/secrets/"), "/payload")
		switch {
		case id == "empty":
			says(`{"status": "ACTIVE"}`)(w, r)
		case secrets[id] == nil:
			http.Error(w, `{"code": 404, "title": "Not Found"}`, http.StatusNotFound)
		case !payload:
			says(`{"status": "ACTIVE", "secret_type": "certificate", "content_types": {"default": "application/octet-stream"}}`)(w, r)
		case r.Header.Get("Accept") != "application/octet-stream":
			http.Error(w, "", http.StatusNotAcceptable)
		default:
			_, _ = w.Write(secrets[id])
		}
	})
	o := s.options()
	o.Key = ServiceOptions{Endpoint: Endpoint{Override: s.URL + "/v1"}}
	keys := open(t, o).Keys()
	user := Identity{Token: "of the user"}
	for _, id := range []string{"der", "pem"} {
		cert, err := keys.Certificate(t.Context(), user, id)
		if err != nil || cert.SerialNumber.Int64() != 7 {
			t.Errorf("%s: %v", id, err)
		}
	}
	for id, want := range map[string]string{"words": "secret words", "long": "secret long", "empty": "no content", "nowhere": "404"} {
		if _, err := keys.Certificate(t.Context(), user, id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
