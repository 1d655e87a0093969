// Package trace tells an OpenTelemetry collector what the node has done: a span of every operation that ended, with
// one of each of its steps below it, by OTLP over HTTP.
//
// Spans are made of what the status board keeps of an operation, once it has ended. So an operation pays for them
// with one send on a channel, never waits for the collector, and pays nothing where none is configured. [Sender.Run]
// is the only goroutine, beside the SDK's batcher that it starts and ends.
package trace

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"bolide/agent/status"
)

const (
	// waitingOperations is how many ended operations wait for Run; more are left out.
	waitingOperations = 256
	// closeLimit bounds the sending of what is left when the node stops.
	closeLimit = 3 * time.Second
)

// Options configure a Sender.
type Options struct {
	// Endpoint is the collector's URL; "" = no traces. /v1/traces is added where it does not end so.
	Endpoint string
	// Headers go with every request: "name=value" each, values percent-encoded. Optional.
	Headers []string
	// Host, Version and Release say who sends: the node's name, Bolide's version, the release of Nova.
	Host, Version, Release string
	Log                    *logrus.Entry
}

// Sender sends spans of operations. A nil Sender sends none. Its methods are safe for concurrent use.
type Sender struct {
	opts       Options
	ended      chan status.Operation
	closeLimit time.Duration
}

// New makes a Sender, or nil where no endpoint is given. It connects to nothing yet.
func New(o Options) *Sender {
	if o.Endpoint == "" {
		return nil
	}
	return &Sender{opts: o, ended: make(chan status.Operation, waitingOperations), closeLimit: closeLimit}
}

// Ended takes an operation that has ended. It does not wait: an operation that finds no room is not told.
func (s *Sender) Ended(op status.Operation) {
	if s == nil {
		return
	}
	select {
	case s.ended <- op:
	default:
	}
}

// Run sends until ctx ends, then what is left, for a few seconds at most. It fails nobody: a collector that is away is
// logged.
func (s *Sender) Run(ctx context.Context) {
	if s == nil {
		return
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	provider := s.provider(life)
	tracer := provider.Tracer("bolide", trace.WithInstrumentationVersion(s.opts.Version))
	for ctx.Err() == nil {
		select {
		case op := <-s.ended:
			record(tracer, op)
		case <-ctx.Done():
		}
	}
	for len(s.ended) > 0 {
		record(tracer, <-s.ended)
	}
	defer time.AfterFunc(s.closeLimit, end).Stop()
	if err := provider.Shutdown(context.WithoutCancel(ctx)); err != nil { // its requests end with life
		s.opts.Log.WithError(err).Warn("the last spans may be lost")
	}
}

// provider makes spans and sends them until life ends. The SDK reads the variables OTEL_RESOURCE_ATTRIBUTES,
// OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and OTEL_BSP_* by itself.
func (s *Sender) provider(life context.Context) *sdk.TracerProvider {
	from, err := resource.New(life, resource.WithAttributes(
		attribute.String("service.name", "bolide"), attribute.String("service.version", s.opts.Version),
		attribute.String("host.name", s.opts.Host), attribute.String("nova.release", s.opts.Release),
	), resource.WithFromEnv())
	if err != nil { // a variable is malformed: what was understood is told
		s.opts.Log.WithError(err).Warn("spans say less of who sends them")
	}
	exporter := otlptrace.NewUnstarted(newPoster(life, s.opts))
	_ = exporter.Start(life) // it is the poster's, which does nothing; without it there would be no Stop
	return sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithIDGenerator(ids{}), sdk.WithResource(from))
}

// record makes the spans of one operation that has ended.
func record(tracer trace.Tracer, op status.Operation) {
	of := trace.WithAttributes(attribute.String("nova.request_id", op.RequestID), attribute.String("nova.instance", op.Instance))
	ctx, span := tracer.Start(ofRequest(context.Background(), op.RequestID), op.Name, of,
		trace.WithTimestamp(op.Started), trace.WithSpanKind(trace.SpanKindServer))
	for _, s := range op.History {
		_, step := tracer.Start(ctx, s.Step, of, trace.WithTimestamp(s.Started))
		step.End(trace.WithTimestamp(s.Started.Add(time.Duration(s.Seconds * float64(time.Second)))))
	}
	if op.Error != "" {
		span.SetStatus(codes.Error, op.Error)
	}
	span.End(trace.WithTimestamp(op.Ended))
}
