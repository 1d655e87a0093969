package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const contextPrefix = "_context_"

// Target says where a call or cast goes.
type Target struct {
	// Exchange is the topic exchange; "" is the control exchange.
	Exchange string
	// Topic is the routing key, or its first part. Required.
	Topic string
	// Server is the one host to ask; "" asks any server of the topic.
	Server string
	// Namespace and Version choose the endpoint; "" sends none.
	Namespace, Version string
	// Fanout casts to every server of the topic.
	Fanout bool
}

// routingKey is TOPIC or TOPIC.SERVER.
func (t Target) routingKey() string {
	if t.Server == "" {
		return t.Topic
	}
	return t.Topic + "." + t.Server
}

// Request is what a peer asks of us.
type Request struct {
	// Context is the request context, to be handed on with everything that is
	// done for the request. Never nil.
	Context Context
	// Method is the name of the method.
	Method string
	// Version is the version that the caller needs, "1.0" if it names none.
	Version string
	// Namespace is "" for the endpoint of the service itself.
	Namespace string
	// Args are the arguments by name, as JSON.
	Args map[string]json.RawMessage
	// IsCall says that the peer waits for an answer.
	IsCall bool

	uniqueID string
	msgID    string
	replyQ   string
	monitor  time.Duration // the caller wants a sign of life this often; 0 is never
	inner    []byte
}

// decodeRequest reads an inner message, all but its context (see decodeContext).
// A message that is wrong in parts is returned together with the error, because
// its sender may wait for an answer.
func decodeRequest(inner []byte) (*Request, error) {
	var m struct {
		Method    *string                    `json:"method"`
		Args      map[string]json.RawMessage `json:"args"`
		Namespace *string                    `json:"namespace"`
		Version   *string                    `json:"version"`
		MsgID     *string                    `json:"_msg_id"`
		ReplyQ    *string                    `json:"_reply_q"`
		Timeout   json.RawMessage            `json:"_timeout"`
		UniqueID  *string                    `json:"_unique_id"`
	}
	err := json.Unmarshal(inner, &m)
	if _, partly := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !partly {
		return nil, fmt.Errorf("request: %w", err)
	}
	text := func(s *string, otherwise string) string {
		if s == nil {
			return otherwise
		}
		return *s
	}
	r := &Request{
		Method: text(m.Method, ""), Args: m.Args,
		Namespace: text(m.Namespace, ""), Version: text(m.Version, "1.0"),
		uniqueID: text(m.UniqueID, ""), msgID: text(m.MsgID, ""), replyQ: text(m.ReplyQ, ""),
		inner: inner,
	}
	r.IsCall = r.msgID != "" && r.replyQ != ""
	r.monitor = monitorInterval(m.Timeout)
	switch {
	case err != nil:
		return r, fmt.Errorf("request: %w", err)
	case r.Method == "":
		return r, errors.New("request: no method")
	}
	return r, nil
}

// monitorInterval is half the time after which a monitored caller gives up,
// 0 if the caller asked for no monitoring or for less than a second.
func monitorInterval(timeout json.RawMessage) time.Duration {
	s := strings.Trim(string(timeout), `" `)
	if s == "" || s == "null" {
		return 0
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 2 && f <= 1e9) {
		return 0
	}
	return time.Duration(int64(f)) * time.Second / 2
}

// decodeContext fills in the context. It is apart because our own ping, which
// comes often, needs none.
func (r *Request) decodeContext() error {
	r.Context = Context{}
	if r.inner == nil {
		return nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(r.inner, &all); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	for key, raw := range all {
		name, found := strings.CutPrefix(key, contextPrefix)
		if !found {
			continue
		}
		v, err := decodeAny(raw)
		if err != nil {
			return fmt.Errorf("request: context: %s: %w", name, err)
		}
		r.Context[name] = v
	}
	r.inner = nil
	return nil
}

// decodeAny decodes JSON without turning its numbers into floats.
func decodeAny(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// Has says whether the caller gave the argument.
func (r *Request) Has(name string) bool { _, ok := r.Args[name]; return ok }

// Arg decodes an argument that must be there. Its errors are what a Python
// method answers: TypeError.
func (r *Request) Arg(name string, into any) error {
	if !r.Has(name) {
		return typeError(fmt.Sprintf("%s() missing 1 required positional argument: '%s'", r.Method, name))
	}
	return r.OptionalArg(name, into)
}

// OptionalArg decodes an argument if it is there.
func (r *Request) OptionalArg(name string, into any) error {
	raw, ok := r.Args[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return typeError(fmt.Sprintf("%s() argument '%s': %v", r.Method, name, err))
	}
	return nil
}

// encodeRequest builds a message in its envelope. msgID and replyQ are empty
// for a cast; monitor is 0 for a call without monitoring.
func encodeRequest(rc Context, t Target, method string, args map[string]any, call callIDs) ([]byte, error) {
	if args == nil {
		args = map[string]any{}
	}
	m := newMessage(method)
	m.field("method", method)
	m.field("args", args)
	if t.Namespace != "" {
		m.field("namespace", t.Namespace)
	}
	if t.Version != "" {
		m.field("version", t.Version)
	}
	if call.msgID != "" {
		m.field("_msg_id", call.msgID)
		m.field("_reply_q", call.replyQ)
		if call.monitor > 0 {
			m.field("_timeout", int64(call.monitor/time.Second))
		} else {
			m.field("_timeout", nil)
		}
	}
	inner, err := m.end(rc)
	if err != nil {
		return nil, err
	}
	return sealEnvelope(inner), nil
}

// message is an inner message that is being written.
type message struct {
	what string // for errors
	out  []byte
	err  error // the first; later fields are not written
}

func newMessage(what string) *message {
	return &message{what: what, out: append(make([]byte, 0, 2048), '{')}
}

func (m *message) field(name string, v any) {
	if m.err != nil {
		return
	}
	if len(m.out) > 1 {
		m.out = append(m.out, ", "...)
	}
	if m.out, m.err = appendJSON(m.out, name); m.err != nil {
		return
	}
	m.out = append(m.out, ": "...)
	if m.out, m.err = appendJSON(m.out, v); m.err != nil {
		m.err = fmt.Errorf("encode %s of %s: %w", name, m.what, m.err)
	}
}

// end adds what every message carries: an id of its own and the request context.
func (m *message) end(rc Context) ([]byte, error) {
	m.field("_unique_id", newHexID())
	for _, key := range slices.Sorted(maps.Keys(rc)) {
		m.field(contextPrefix+key, rc[key])
	}
	return append(m.out, '}'), m.err
}

// callIDs are the fields that make a request a call.
type callIDs struct {
	msgID, replyQ string
	monitor       time.Duration // how long the caller waits for a sign of life; 0 is no monitoring
}
