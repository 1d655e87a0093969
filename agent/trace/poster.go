package trace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// requestLimit bounds one request to the collector, tryLimit all the tries to send a batch.
	requestLimit, tryLimit = 10 * time.Second, 30 * time.Second
	// firstPause is between the first two tries, and doubles.
	firstPause = time.Second
)

// poster posts spans as OTLP over HTTP has it. It is an [otlptrace.Client] of ours: the module's own comes with all of
// gRPC, which is 11 MiB of program.
type poster struct {
	life    context.Context // of the Sender: nothing is sent after it
	url     string
	headers http.Header
	client  *http.Client
	log     *logrus.Entry
	failing bool // used by the SDK's batcher alone, which sends one batch at a time
}

func newPoster(life context.Context, o Options) *poster {
	p := &poster{
		life: life, url: o.Endpoint, headers: http.Header{"Content-Type": {"application/x-protobuf"}, "User-Agent": {"bolide/" + o.Version}},
		client: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), Timeout: requestLimit},
		log:    o.Log,
	}
	if !strings.HasSuffix(p.url, "/v1/traces") {
		p.url = strings.TrimSuffix(p.url, "/") + "/v1/traces"
	}
	for _, h := range o.Headers {
		name, value, _ := strings.Cut(h, "=")
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		p.headers.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return p
}

// Start implements [otlptrace.Client].
func (p *poster) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client].
func (p *poster) Stop(context.Context) error {
	p.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements [otlptrace.Client]. Spans that the collector does not take are lost. It logs that itself:
// the SDK would write it to standard error.
func (p *poster) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans}) // on the wire the same as the service's request
	if err == nil {
		err = p.deliver(body)
	}
	switch {
	case err != nil && !p.failing:
		p.log.WithError(err).Warn("spans are lost: the collector does not take them")
	case err == nil && p.failing:
		p.log.Info("the collector takes spans again")
	}
	p.failing = err != nil
	return nil
}

// deliver posts a batch, again where the collector asks for that or cannot be reached.
func (p *poster) deliver(body []byte) error {
	ctx, cancel := context.WithTimeout(p.life, tryLimit)
	defer cancel()
	for pause := firstPause; ; pause *= 2 {
		again, err := p.post(ctx, body)
		if err == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// post makes one request, and says whether another one may do better.
func (p *poster) post(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header = p.headers.Clone()
	answer, err := p.client.Do(r)
	if err != nil {
		return true, err
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10)) // read so that the connection is used again
	if answer.StatusCode/100 == 2 {
		return false, nil
	}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true // OTLP's list
	}
	return again, fmt.Errorf("%s: %s: %q", r.URL.Redacted(), answer.Status, bytes.ToValidUTF8(said, nil))
}
