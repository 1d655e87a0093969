package rpc

import (
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	amqp "github.com/rabbitmq/amqp091-go"
)

// envelopeVersion is what we send; we accept any minor version up to it.
const envelopeVersion = "2.0"

// maxMessage bounds what one message may weigh, also after decompression. The
// largest that Nova sends (a build with many block devices and user data) is
// well below 1 MiB.
const maxMessage = 16 << 20

// innerMessage returns the message that a delivery's envelope holds.
func innerMessage(d *amqp.Delivery) ([]byte, error) {
	b, err := body(d)
	if err != nil {
		return nil, err
	}
	return openEnvelope(b)
}

// body returns the uncompressed content of a delivery. A publisher that sets
// kombu_compression says so in a header.
func body(d *amqp.Delivery) ([]byte, error) {
	if len(d.Body) > maxMessage {
		return nil, fmt.Errorf("message of %d bytes is larger than %d", len(d.Body), maxMessage)
	}
	var r io.Reader
	switch method := d.Headers["compression"]; method {
	case nil:
		return d.Body, nil
	case "application/x-gzip": // kombu's name for zlib
		z, err := zlib.NewReader(bytes.NewReader(d.Body))
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		r = z
	case "application/x-bz2":
		r = bzip2.NewReader(bytes.NewReader(d.Body))
	default:
		return nil, fmt.Errorf("unknown compression %q", method)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(b) > maxMessage {
		return nil, fmt.Errorf("message is larger than %d bytes decompressed", maxMessage)
	}
	return b, nil
}

// openEnvelope returns the inner message. A JSON object that is no envelope is
// taken as the inner message itself, as in the days before envelopes.
func openEnvelope(body []byte) ([]byte, error) {
	if inner, ok := openPlain(body); ok {
		return inner, nil
	}
	var env struct {
		Version *string `json:"oslo.version"`
		Message *string `json:"oslo.message"`
	}
	if err := json.Unmarshal(body, &env); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	if env.Version == nil || env.Message == nil {
		return body, nil
	}
	if !compatible(envelopeVersion, *env.Version) {
		return nil, fmt.Errorf("envelope: version %q, want %s", *env.Version, envelopeVersion)
	}
	return []byte(*env.Message), nil
}

// envelopeHead begins the envelopes that oslo.messaging and we write.
const envelopeHead = `{"oslo.version": "` + envelopeVersion + `", "oslo.message": `

// openPlain opens what Python's json.dumps writes, in one pass. Whatever looks
// different is left to the decoder.
func openPlain(body []byte) ([]byte, bool) {
	text, ok := bytes.CutPrefix(body, []byte(envelopeHead+`"`))
	if !ok {
		return nil, false
	}
	if text, ok = bytes.CutSuffix(text, []byte(`"}`)); !ok {
		return nil, false
	}
	inner := make([]byte, 0, len(text))
	start := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			if i+1 == len(text) || text[i+1] != '"' && text[i+1] != '\\' {
				return nil, false
			}
			inner = append(inner, text[start:i]...)
			i++
			start = i
		case c == '"' || c < ' ':
			return nil, false
		}
	}
	return append(inner, text[start:]...), true
}

// sealEnvelope wraps an inner message.
func sealEnvelope(inner []byte) []byte {
	out := make([]byte, 0, len(inner)+len(inner)/8+64)
	out = append(out, envelopeHead...)
	out = appendQuoted(out, inner)
	return append(out, '}')
}

// appendQuoted writes JSON text as a JSON string. The text is our own encoder's,
// so it is valid UTF-8.
func appendQuoted(out, text []byte) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	start := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	out = append(out, text[start:]...)
	return append(out, '"')
}

// appendJSON writes v as JSON without the HTML escapes of json.Marshal.
func appendJSON(out []byte, v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok && len(raw) > 0 {
		if !json.Valid(raw) {
			return nil, errors.New("invalid JSON")
		}
		return append(out, raw...), nil
	}
	buf := bytes.NewBuffer(out)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
