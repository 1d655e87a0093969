package key

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// projects is an authority to which a token is the name of its project.
type projects struct{}

func (projects) Who(token string) (web.Who, bool) {
	return web.Who{ProjectID: token}, token != ""
}

// TestSecretsAreTheirProjects looks at what the service refuses.
func TestSecretsAreTheirProjects(t *testing.T) {
	kept, err := store.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	s := New(kept, projects{})
	ask := func(token, method, path, accept, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("X-Auth-Token", token)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	const binary = "application/octet-stream"
	made := ask("mine", "POST", "/v1/secrets", "", `{"name": "n", "payload": "c2VzYW1l", "payload_content_type": "`+binary+`", "payload_content_encoding": "base64"}`)
	_, path, ok := strings.Cut(strings.Trim(made.Body.String(), `{}"`), "http://example.com")
	if made.Code != http.StatusCreated || !ok {
		t.Fatalf("made: %d %s", made.Code, made.Body)
	}
	if got := ask("mine", "GET", path+"/payload", binary, ""); got.Body.String() != "sesame" {
		t.Errorf("payload: %d %s", got.Code, got.Body)
	}
	for _, c := range []struct {
		token, method, path, accept, body string
		want                              int
	}{
		{"", "GET", path, "", "", http.StatusUnauthorized},
		{"theirs", "GET", path, "", "", http.StatusForbidden},
		{"theirs", "GET", path + "/payload", binary, "", http.StatusForbidden},
		{"theirs", "DELETE", path, "", "", http.StatusForbidden},
		{"mine", "GET", path + "/payload", "text/plain", "", http.StatusNotAcceptable},
		{"mine", "POST", "/v1/secrets", "", `{"name": "n", "payload": "x", "payload_content_type": "image/png"}`, http.StatusBadRequest},
		{"mine", "POST", "/v1/secrets", "", `{"name": "n", "payload": "c2VzYW1l", "payload_content_type": "` + binary + `"}`, http.StatusBadRequest},
		{"mine", "DELETE", path, "", "", http.StatusNoContent},
		{"mine", "GET", path, "", "", http.StatusNotFound},
	} {
		if got := ask(c.token, c.method, c.path, c.accept, c.body); got.Code != c.want {
			t.Errorf("%s %s for %q: %d, not %d: %s", c.method, c.path, c.token, got.Code, c.want, got.Body)
		}
	}
	if left, err := s.Secrets("mine"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
