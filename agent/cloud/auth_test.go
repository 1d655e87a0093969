package cloud

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAuthRequest compares what Keystone is sent.
func TestAuthRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		auth Auth
		want string
	}{
		{
			"password with names", Auth{
				AuthType: "password", Username: "nova", Password: "s", UserDomainName: "Users", ProjectName: "service", ProjectDomainName: "Projects",
			}, `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "nova", "password": "s", "domain": {"name": "Users"}}}},
			     "scope": {"project": {"name": "service", "domain": {"name": "Projects"}}}}}`,
		}, {
			"password with ids", Auth{UserID: "u", Password: "s", ProjectID: "p", UserDomainName: "unused"},
			`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "u", "password": "s"}}}, "scope": {"project": {"id": "p"}}}}`,
		}, {
			"default domain", Auth{AuthType: "v3password", Username: "nova", Password: "s", ProjectName: "service", DefaultDomainID: "default"},
			`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "nova", "password": "s", "domain": {"id": "default"}}}},
			  "scope": {"project": {"name": "service", "domain": {"id": "default"}}}}}`,
		}, {
			"system scope", Auth{UserID: "u", Password: "s", SystemScope: "all", ProjectID: "p"},
			`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "u", "password": "s"}}}, "scope": {"system": {"all": true}}}}`,
		}, {
			"trust", Auth{UserID: "u", Password: "s", TrustID: "t"},
			`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "u", "password": "s"}}}, "scope": {"OS-TRUST:trust": {"id": "t"}}}}`,
		}, {
			"domain scope", Auth{UserID: "u", Password: "s", DomainID: "d"},
			`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "u", "password": "s"}}}, "scope": {"domain": {"id": "d"}}}}`,
		}, {
			"application credential", Auth{AuthType: "v3applicationcredential", ApplicationCredentialID: "a", ApplicationCredentialSecret: "s"},
			`{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": "a", "secret": "s"}}}}`,
		}, {
			"token", Auth{AuthType: "token", Token: "old", ProjectID: "p"},
			`{"auth": {"identity": {"methods": ["token"], "token": {"id": "old"}}, "scope": {"project": {"id": "p"}}}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got any
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/identity/v3/auth/tokens" {
					t.Errorf("path %s", r.URL.Path)
				}
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				w.Header().Set("X-Subject-Token", "new")
				w.WriteHeader(http.StatusCreated)
				says(`{"token": {"expires_at": "2099-01-01T00:00:00.000000Z"}}`)(w, r)
			}))
			defer server.Close()
			c.auth.AuthURL = server.URL + "/identity"
			s, err := newSession(c.auth, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			g, err := s.current(t.Context())
			if err != nil || g.token != "new" {
				t.Fatalf("grant %+v, %v", g, err)
			}
			var want any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadSections(t *testing.T) {
	s := newSite(t, nil)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		`network service: auth_type "kerberos" is not supported`: func(o *Options) { o.Network.Auth.AuthType = "kerberos" },
		"placement service: auth_url is not set":                 func(o *Options) { o.Placement.Auth = Auth{AuthType: "password"} },
		"image service: cafile":                                  func(o *Options) { o.Image.Auth.CAFile = "/nowhere" },
		"no certificate in it":                                   func(o *Options) { o.Image.Auth.CAFile = empty },
		"volume service: certfile":                               func(o *Options) { o.Volume.Auth.CertFile = empty },
		"the section has no credentials":                         func(o *Options) { o.ServiceUser.SendToken = true },
		"service user: auth_type":                                func(o *Options) { o.ServiceUser.Auth = Auth{AuthType: "x", AuthURL: "http://k"} },
	} {
		o := s.options()
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(says(`{"id": "i"}`))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes that must fail
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		auth Auth
		ok   bool
	}{{"unknown", Auth{}, false}, {"known", Auth{CAFile: ca}, true}, {"insecure", Auth{Insecure: true}, true}} {
		o := newSite(t, nil).options()
		o.Image = ServiceOptions{Auth: c.auth, Endpoint: Endpoint{Override: server.URL}, Retries: -1}
		_, err := open(t, o).Images().Get(t.Context(), Identity{Token: "t"}, "i")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
