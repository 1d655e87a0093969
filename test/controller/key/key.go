// Package key is as much of Barbican's API v1 as a compute node uses: secrets, which
// a project shows to nobody else.
//
// It starts no goroutines; a Service may be used concurrently.
package key

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/google/uuid"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// Service is the key manager.
type Service struct {
	*web.Mux
	store *store.Store
}

// New makes the service.
func New(s *store.Store, a web.Authority) *Service {
	k := &Service{Mux: web.NewMux(a, dialect), store: s}
	k.Handle("POST /v1/secrets", k.create)
	k.Handle("GET /v1/secrets/{id}", k.show)
	k.Handle("GET /v1/secrets/{id}/payload", k.payload)
	k.Handle("DELETE /v1/secrets/{id}", k.remove)
	return k
}

func dialect(_ *web.Call, e *web.Error) any {
	return map[string]any{"code": e.Status, "title": http.StatusText(e.Status), "description": e.Message}
}

// secret is what is kept of one.
type secret struct {
	Project, Name, Type string
	ContentType         string
	Content             []byte
	Created             string
}

const secrets = "secrets"

// Secrets are the names of all secrets of a project.
func (s *Service) Secrets(project string) ([]string, error) {
	names := []string{}
	err := s.store.View(func(tx *store.Tx) error {
		all, err := store.All(tx, secrets, func(k secret) bool { return k.Project == project })
		for _, k := range all {
			names = append(names, k.Name)
		}
		return err
	})
	return names, err
}

func (s *Service) create(c *web.Call) error {
	var in struct {
		Name            string `json:"name"`
		Type            string `json:"secret_type"`
		Payload         string `json:"payload"`
		ContentType     string `json:"payload_content_type"`
		ContentEncoding string `json:"payload_content_encoding"`
	}
	if err := c.Read(&in); err != nil {
		return err
	}
	k := secret{
		Project: c.Who.ProjectID, Name: in.Name, Type: in.Type, ContentType: in.ContentType,
		Content: []byte(in.Payload), Created: time.Now().UTC().Format("2006-01-02T15:04:05"),
	}
	binary := in.ContentType == "application/octet-stream"
	switch {
	case in.Payload == "" || !binary && in.ContentType != "text/plain":
		return web.Refuse(http.StatusBadRequest, "", "Provided object does not match schema 'Secret'")
	case binary != (in.ContentEncoding == "base64"):
		return web.Refuse(http.StatusBadRequest, "", "payload_content_encoding does not go with %s", in.ContentType)
	case binary:
		var err error
		if k.Content, err = base64.StdEncoding.DecodeString(in.Payload); err != nil {
			return web.Refuse(http.StatusBadRequest, "", "payload is not base64")
		}
	}
	id := uuid.NewString()
	if err := s.store.Update(func(tx *store.Tx) error { return tx.Put(secrets, id, k) }); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, map[string]string{"secret_ref": reference(c, id)})
}

func reference(c *web.Call, id string) string { return "http://" + c.Host + "/v1/secrets/" + id }

// get reads the secret that is asked for, if it is the project's.
func get(tx *store.Tx, c *web.Call) (secret, error) {
	var k secret
	found, err := tx.Get(secrets, c.PathValue("id"), &k)
	switch {
	case err != nil:
		return k, err
	case !found:
		return k, web.Refuse(http.StatusNotFound, "", "Not Found. Sorry but your secret has been deleted or does not exist.")
	case k.Project != c.Who.ProjectID:
		return k, web.Refuse(http.StatusForbidden, "", "Secret access not allowed - please review your user/project privileges")
	}
	return k, nil
}

func (s *Service) read(c *web.Call) (k secret, err error) {
	err = s.store.View(func(tx *store.Tx) error {
		k, err = get(tx, c)
		return err
	})
	return k, err
}

func (s *Service) show(c *web.Call) error {
	k, err := s.read(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{
		"secret_ref": reference(c, c.PathValue("id")), "name": k.Name, "status": "ACTIVE", "secret_type": k.Type, "created": k.Created,
		"content_types": map[string]string{"default": k.ContentType},
	})
}

func (s *Service) payload(c *web.Call) error {
	k, err := s.read(c)
	if err != nil {
		return err
	}
	if c.Header.Get("Accept") != k.ContentType {
		return web.Refuse(http.StatusNotAcceptable, "", "Secret payload retrieval issue seen - wrong Accept header")
	}
	c.Answer.Header().Set("Content-Type", k.ContentType)
	_, err = c.Answer.Write(k.Content)
	return err
}

func (s *Service) remove(c *web.Call) error {
	err := s.store.Update(func(tx *store.Tx) error {
		if _, err := get(tx, c); err != nil {
			return err
		}
		return tx.Delete(secrets, c.PathValue("id"))
	})
	if err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}
