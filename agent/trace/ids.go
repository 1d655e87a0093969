package trace

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
)

type requestKey struct{}

// ofRequest is a context for spans of a request of Nova's.
func ofRequest(ctx context.Context, requestID string) context.Context {
	return context.WithValue(ctx, requestKey{}, requestID)
}

// ids names traces after requests: the trace of req-UUID is the UUID's 16 bytes. So what one request leads to is one
// trace, on however many hosts, though Nova hands no trace on; and who has the request's id has the trace's.
type ids struct{}

// NewIDs implements sdk's IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	requestID, _ := ctx.Value(requestKey{}).(string)
	id, err := uuid.Parse(strings.TrimPrefix(requestID, "req-"))
	if err != nil || id == uuid.Nil {
		id = uuid.New()
	}
	return trace.TraceID(id), g.NewSpanID(ctx, trace.TraceID(id))
}

// NewSpanID implements sdk's IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // 0 is no id
	return id
}
