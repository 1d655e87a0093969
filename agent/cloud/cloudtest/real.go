package cloudtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
)

// real is the cloud that a recording is made of.
type real struct {
	tb                 testing.TB
	keystone, password string

	mu        sync.Mutex
	tokens    map[string]string // by user
	endpoints map[string]string // by service
}

func newReal(tb testing.TB, keystone, password string) *real {
	return &real{tb: tb, keystone: keystone, password: password, tokens: map[string]string{}, endpoints: map[string]string{}}
}

// authenticate gets a real token for a user and returns the project's id.
func (r *real) authenticate(user, project string) string {
	domain := map[string]string{"name": "Default"}
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{
			"user": map[string]any{"name": user, "password": r.password, "domain": domain},
		}},
		"scope": map[string]any{"project": map[string]any{"name": project, "domain": domain}},
	}})
	if err != nil {
		r.tb.Fatal(err)
	}
	resp, err := http.Post(r.keystone+"/auth/tokens", "application/json", bytes.NewReader(body))
	if err != nil {
		r.tb.Fatalf("authenticate %s: %v", user, err)
	}
	defer resp.Body.Close()
	var out struct {
		Token struct {
			Project struct{ ID string }
			Catalog []struct {
				Type      string
				Endpoints []struct{ Interface, URL string }
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusCreated {
		r.tb.Fatalf("authenticate %s: status %d: %v", user, resp.StatusCode, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[user] = resp.Header.Get("X-Subject-Token")
	for _, entry := range out.Token.Catalog {
		for _, e := range entry.Endpoints {
			if name := services[entry.Type]; name != "" && e.Interface == "internal" {
				r.endpoints[name] = e.URL
			}
		}
	}
	return out.Token.Project.ID
}

// ask passes a request on and adds the answer.
func (r *real) ask(e Exchange) (Exchange, error) {
	r.mu.Lock()
	token, vouched, base := r.tokens[e.As], r.tokens[e.Vouched], r.endpoints[e.Service]
	r.mu.Unlock()
	address := base + e.Path
	if len(e.Query) > 0 {
		address += "?" + e.Query.Encode()
	}
	req, err := http.NewRequest(e.Method, address, bytes.NewReader(text(e.Body)))
	if err != nil {
		return e, err
	}
	for name, v := range e.Header {
		req.Header.Set(name, v)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("X-Service-Token", vouched)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return e, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	e.Status, e.AnswerHeader, e.Answer = resp.StatusCode, pick(resp.Header, answerHeaders), value(raw)
	return e, err
}
