package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// InstanceDetail is what GET /v1/instances/{uuid} answers.
type InstanceDetail struct {
	Instance
	Inspection
	Operations []Operation `json:"operations"` // running, then finished, newest first
}

func (s *Server) getInstances(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, InstanceList{s.snapshot(r.Context()).Instances})
}

// find looks an instance up by its UUID or the name of its domain.
func (s *Server) find(r *http.Request) (Instance, error) {
	id := r.PathValue("uuid")
	for _, i := range s.snapshot(r.Context()).Instances {
		if i.UUID == id || i.Name == id {
			return i, nil
		}
	}
	return Instance{}, fmt.Errorf("no instance %s on this node", id)
}

// getInstance answers with what is known of an instance, even where libvirt or the
// disk cannot be asked.
func (s *Server) getInstance(w http.ResponseWriter, r *http.Request) {
	i, err := s.find(r)
	if err != nil {
		problem(w, http.StatusNotFound, err.Error())
		return
	}
	d := InstanceDetail{Instance: i, Operations: []Operation{}}
	if s.opts.Guests != nil {
		ctx, cancel := context.WithTimeout(r.Context(), s.opts.RequestTimeout)
		defer cancel()
		if d.Inspection, err = s.opts.Guests.Inspect(ctx, i.UUID); err != nil {
			d.Problems = append(d.Problems, err.Error())
		}
	}
	for _, o := range append(s.opts.Board.Operations(), s.opts.Board.Finished()...) {
		if o.Instance == i.UUID {
			d.Operations = append(d.Operations, o)
		}
	}
	reply(w, http.StatusOK, d)
}

// guest finds the instance for a handler that needs Guests; it has answered if not.
func (s *Server) guest(w http.ResponseWriter, r *http.Request) (Instance, bool) {
	i, err := s.find(r)
	switch {
	case s.opts.Guests == nil:
		notOffered(w)
	case err != nil:
		problem(w, http.StatusNotFound, err.Error())
	default:
		return i, true
	}
	return Instance{}, false
}

func guestProblem(w http.ResponseWriter, err error) {
	code := http.StatusConflict
	if errors.Is(err, ErrNoGuest) {
		code = http.StatusNotFound
	}
	problem(w, code, err.Error())
}

func (s *Server) getDomainXML(w http.ResponseWriter, r *http.Request) {
	i, ok := s.guest(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.RequestTimeout)
	defer cancel()
	xml, err := s.opts.Guests.DomainXML(ctx, i.UUID)
	if err != nil {
		guestProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, xml) // fails only when the client is gone
}

// ConsoleProtocol is what a connection is upgraded to by GET
// /v1/instances/{uuid}/console: the bytes of the serial console, both ways.
const ConsoleProtocol = "bolide-console"

func (s *Server) getConsole(w http.ResponseWriter, r *http.Request) {
	i, ok := s.guest(w, r)
	if !ok {
		return
	}
	if r.Header.Get("Upgrade") != ConsoleProtocol {
		w.Header().Set("Upgrade", ConsoleProtocol)
		problem(w, http.StatusUpgradeRequired, "a console is no page: upgrade to "+ConsoleProtocol)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.RequestTimeout)
	defer cancel()
	console, err := s.opts.Guests.Console(ctx, i.UUID, ConsoleOptions{Force: r.FormValue("force") == "true"})
	if err != nil {
		guestProblem(w, err)
		return
	}
	defer console.Close()
	s.consoles.Add(1) // http.Server forgets connections that are taken from it
	defer s.consoles.Done()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	defer client.Close()
	s.opts.Log.WithField("instance", i.UUID).Info("console opened on the status socket")
	_ = client.SetDeadline(time.Time{}) // the pumps set their own
	out := patientWriter{client, s.opts.RequestTimeout}
	if _, err := io.WriteString(out, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+ConsoleProtocol+"\r\n\r\n"); err == nil {
		join(r.Context(), console, out, buffered, client)
	}
	s.opts.Log.WithField("instance", i.UUID).Info("console closed")
}

// join carries bytes between a console and a client until one of them or ctx ends.
func join(ctx context.Context, console io.ReadWriteCloser, out io.Writer, in io.Reader, client io.Closer) {
	hangUp := sync.OnceFunc(func() {
		_ = console.Close()
		_ = client.Close()
	})
	defer context.AfterFunc(ctx, hangUp)()
	var typing sync.WaitGroup
	typing.Go(func() {
		_, _ = io.Copy(console, in)
		hangUp()
	})
	_, _ = io.Copy(out, console)
	hangUp()
	typing.Wait()
}

// patientWriter gives a client so long to take what is written.
type patientWriter struct {
	net.Conn
	limit time.Duration
}

// Write implements io.Writer.
func (w patientWriter) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.limit)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}
