package status

import (
	"context"
	"net/http"
	"time"
)

// Drain says that the node takes no new guests.
type Drain struct {
	Since time.Time `json:"since"`
	// Problem is why the control plane does not know of it yet; it is told again.
	Problem string `json:"problem,omitempty"`
}

// Drainer stops and resumes the taking of new guests. Both hold at once and beyond
// a restart; an error says that the control plane has not been told yet and will be.
type Drainer interface {
	Drain(ctx context.Context) error
	Undrain(ctx context.Context) error
}

// DrainState is what PUT and DELETE /v1/drain answer.
type DrainState struct {
	Draining bool `json:"draining"`
	// Instances is how many guests are left.
	Instances int `json:"instances"`
	// Problem is why the control plane does not know of it yet; it is told again.
	Problem string `json:"problem,omitempty"`
}

func (s *Server) putDrain(w http.ResponseWriter, r *http.Request) {
	if s.opts.Drainer == nil {
		notOffered(w)
		return
	}
	s.setDrain(w, r, s.opts.Drainer.Drain)
}

func (s *Server) deleteDrain(w http.ResponseWriter, r *http.Request) {
	if s.opts.Drainer == nil {
		notOffered(w)
		return
	}
	s.setDrain(w, r, s.opts.Drainer.Undrain)
}

func (s *Server) setDrain(w http.ResponseWriter, r *http.Request, set func(context.Context) error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.RequestTimeout)
	defer cancel()
	untold := set(ctx)
	snap := s.snapshot(r.Context())
	state := DrainState{Draining: snap.Drain != nil, Instances: len(snap.Instances)}
	if untold != nil {
		state.Problem = untold.Error()
	}
	reply(w, http.StatusOK, state)
}
