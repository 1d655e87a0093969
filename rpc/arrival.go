package rpc

import (
	"context"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
)

// Keep writes a request down where a process that is killed leaves it to the next
// one, and returns what forgets it, which may be called again. It is called before
// the broker is told to forget the request, and must be quick.
type Keep func(message []byte) (forget func())

// KeepRequests has casts kept from before they are acknowledged until
// [Request.Begun]. Nobody waits for an answer to a cast, so that nobody would ask
// again if it were lost with this process; who calls, does. Call it before Start.
func (s *Server) KeepRequests(keep Keep) { s.keep = keep }

// TakeUp takes a request in that an earlier process kept. Call it before Start: if
// the broker has the request as well, it is then known for one received twice.
func (s *Server) TakeUp(ctx context.Context, message []byte, forget func()) {
	r, err := decodeRequest(message)
	if r != nil {
		r.forget = forget
	}
	(&arrival{server: s, request: r, err: err}).takeIn(ctx)
}

// arrival is a message of one of a server's queues.
type arrival struct {
	server  *Server
	request *Request // nil, or in parts, where the message is none
	err     error    // why it is none
}

// read reads a message, and keeps it if that is asked for.
func (s *Server) read(d *amqp.Delivery) taking {
	a := &arrival{server: s}
	a.request, a.err = readRequest(d)
	if r := a.request; s.keep != nil && a.err == nil && !r.IsCall && !s.seen.has(r.uniqueID) {
		r.forget = s.keep(r.inner)
	}
	return a
}

func readRequest(d *amqp.Delivery) (*Request, error) {
	b, err := body(d)
	if err != nil {
		return nil, err
	}
	inner, err := openEnvelope(b)
	if err != nil {
		return nil, err
	}
	return decodeRequest(inner)
}

func (a *arrival) giveBack() {
	if a.request != nil {
		a.request.Begun()
	}
}

func (a *arrival) takeIn(ctx context.Context) {
	s, r := a.server, a.request
	if a.err != nil {
		a.giveBack()
		s.log.WithError(a.err).Warn("Dropped a message that is not a request")
		if r != nil && r.IsCall {
			s.begin()
			s.answer(ctx, r, outcome{err: typeError(a.err.Error())})
		}
		return
	}
	if s.seen.repeated(r.uniqueID) {
		r.Begun() // the first of them is kept as long as need be
		s.log.WithFields(logrus.Fields{"op": r.Method, "unique_id": r.uniqueID}).Warn("Dropped a request received twice")
		return
	}
	s.begin()
	if h, err := match(s.builtin, r); err == nil {
		r.Begun()
		s.answer(ctx, r, outcomeOf(ctx, h, r))
		return
	}
	s.handlers.Go(func() { s.handle(ctx, r) })
}

// recent remembers the last 16 requests, as oslo.messaging does. A broker may
// deliver twice what it did not see acknowledged.
type recent struct {
	mu   sync.Mutex
	ids  [16]string
	next int
}

// has says whether id is among the last ones.
func (r *recent) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return id != "" && slices.Contains(r.ids[:], id)
}

// repeated says whether id is among the last ones, and remembers it.
func (r *recent) repeated(id string) bool {
	if id == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.ids[:], id) {
		return true
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % len(r.ids)
	return false
}
