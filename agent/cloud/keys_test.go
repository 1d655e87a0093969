package cloud

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
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
		"words": []byte("no certificate"), "long": []byte(strings.Repeat("x", maxSecret+1)),
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

// TestPassphrase checks the requests, and what is made of the answers, against Barbican's API reference for secrets.
func TestPassphrase(t *testing.T) {
	const id = "d152fa13-2b41-42ca-a934-6c21566c0f40"
	ref := `{"secret_ref": "http://keys/v1/secrets/` + id + `"}`
	var gone bool
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /v1/secrets":
			var got map[string]string
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			want := map[string]string{
				"name": "of a guest", "secret_type": "passphrase", "payload": "c2VzYW1l",
				"payload_content_type": "application/octet-stream", "payload_content_encoding": "base64",
			}
			if !maps.Equal(got, want) {
				t.Errorf("stored %v", got)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, ref)
		case "GET /v1/secrets/" + id:
			says(`{"secret_type": "passphrase", "content_types": {"default": "application/octet-stream"}}`)(w, r)
		case "GET /v1/secrets/" + id + "/payload":
			_, _ = io.WriteString(w, "sesame")
		case "DELETE /v1/secrets/" + id:
			gone = true
			w.WriteHeader(http.StatusNoContent)
		default:
			http.NotFound(w, r)
		}
	})
	o := s.options()
	o.Key = ServiceOptions{Endpoint: Endpoint{Override: s.URL + "/v1"}}
	keys := open(t, o).Keys()
	user := Identity{Token: "of the user"}
	made, err := keys.StorePassphrase(t.Context(), user, "of a guest", []byte("sesame"))
	if err != nil || made != id {
		t.Errorf("made %q, %v", made, err)
	}
	if got, err := keys.Secret(t.Context(), user, id); err != nil || string(got) != "sesame" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := keys.Delete(t.Context(), user, id); err != nil || !gone {
		t.Errorf("deleted: %t, %v", gone, err)
	}
	if err := keys.Delete(t.Context(), user, "another"); !IsNotFound(err) {
		t.Errorf("delete of a secret that is gone: %v", err)
	}
	ref = `{}`
	if made, err := keys.StorePassphrase(t.Context(), user, "of a guest", []byte("sesame")); err == nil {
		t.Errorf("made %q of an answer that names none", made)
	}
}
