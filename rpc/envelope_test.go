package rpc

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func deflate(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	z.Write(b)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestOpenEnvelope(t *testing.T) {
	for _, c := range []struct {
		name, body, inner, err string
	}{
		{"as Python writes it", `{"oslo.version": "2.0", "oslo.message": "{\"a\": \"\\\"\\\\ \\u00fc\"}"}`, `{"a": "\"\\ \u00fc"}`, ""},
		{"without blanks", `{"oslo.version":"2.0","oslo.message":"{}"}`, `{}`, ""},
		{"other order", `{"oslo.message": "{}", "oslo.version": "2.0"}`, `{}`, ""},
		{"more keys", `{"oslo.version": "2.0", "oslo.message": "{}", "x": "y"}`, `{}`, ""},
		{"other escapes", `{"oslo.version": "2.0", "oslo.message": "{\u0022a\u0022:\n1}"}`, "{\"a\":\n1}", ""},
		{"no envelope", `{"method": "x"}`, `{"method": "x"}`, ""},
		{"half an envelope", `{"oslo.version": "2.0"}`, `{"oslo.version": "2.0"}`, ""},
		{"older minor", `{"oslo.version": "2.-1", "oslo.message": "{}"}`, "", "version"},
		{"newer minor", `{"oslo.version": "2.1", "oslo.message": "{}"}`, "", "version"},
		{"other major", `{"oslo.version": "1.0", "oslo.message": "{}"}`, "", "version"},
		{"no JSON", `x`, "", "envelope"},
		{"open end", `{"oslo.version": "2.0", "oslo.message": "{}\"}`, "", "envelope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := openEnvelope([]byte(c.body))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s, %v", got, err)
				}
				return
			}
			if err != nil || string(got) != c.inner {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

func TestBody(t *testing.T) {
	for _, c := range []struct {
		name string
		d    amqp.Delivery
		want string
		err  string
	}{
		{"plain", amqp.Delivery{Body: []byte("x")}, "x", ""},
		{"zlib", amqp.Delivery{Headers: amqp.Table{"compression": "application/x-gzip"}, Body: deflate(t, []byte("x"))}, "x", ""},
		{"bad zlib", amqp.Delivery{Headers: amqp.Table{"compression": "application/x-gzip"}, Body: []byte("x")}, "", "decompress"},
		{"bad bzip2", amqp.Delivery{Headers: amqp.Table{"compression": "application/x-bz2"}, Body: []byte("x")}, "", "decompress"},
		{"unknown", amqp.Delivery{Headers: amqp.Table{"compression": 7}, Body: []byte("x")}, "", "unknown compression"},
		{"bomb", amqp.Delivery{Headers: amqp.Table{"compression": "application/x-gzip"}, Body: deflate(t, make([]byte, maxMessage+1))}, "", "larger than"},
		{"too large", amqp.Delivery{Body: make([]byte, maxMessage+1)}, "", "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := body(&c.d)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

// FuzzOpenEnvelope compares the quick way with the decoder.
func FuzzOpenEnvelope(f *testing.F) {
	for _, name := range []string{"call", "cast", "fanout", "failure_reply"} {
		f.Add(recorded(f, name).body(f))
	}
	f.Add([]byte(`{"oslo.version": "2.0", "oslo.message": "{\"a\": \"\\u00fc\"}"}`))
	f.Add([]byte(`{"oslo.version": "2.0", "oslo.message": "\n"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		quick, ok := openPlain(body)
		var env map[string]any
		err := json.Unmarshal(body, &env)
		if !ok {
			openEnvelope(body) // must not panic
			return
		}
		if err != nil {
			t.Fatalf("opened what is no JSON: %v", err)
		}
		// The decoder replaces invalid UTF-8; the inner decoder does that for us.
		if want := env["oslo.message"].(string); strings.ToValidUTF8(string(quick), "\uFFFD") != strings.ToValidUTF8(want, "\uFFFD") && want != string([]rune(string(quick))) {
			t.Errorf("got %q, want %q", quick, want)
		}
		again, err := openEnvelope(sealEnvelope(quick))
		if err != nil || !bytes.Equal(again, quick) {
			t.Errorf("sealed and opened: %q, %v", again, err)
		}
	})
}

// FuzzRequest feeds requests from the recordings and whatever grows from them.
func FuzzRequest(f *testing.F) {
	for _, name := range []string{"call", "user_call", "monitored_call", "cast", "fanout"} {
		f.Add(recorded(f, name).body(f))
	}
	f.Add([]byte(`{"method": "x", "_timeout": 1e99, "version": "1.0.0", "_context_n": 1e400}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := readRequest(&amqp.Delivery{Body: body})
		if err != nil {
			return
		}
		if r.Method == "" || r.monitor < 0 {
			t.Fatalf("request %+v", r)
		}
		if r.decodeContext() != nil {
			return
		}
		args := map[string]any{}
		for k, v := range r.Args {
			args[k] = v
		}
		out, err := encodeRequest(r.Context, Target{Topic: "t", Version: r.Version, Namespace: r.Namespace}, r.Method, args, callIDs{msgID: r.msgID, replyQ: r.replyQ})
		if err != nil {
			t.Fatalf("cannot pass it on: %v", err)
		}
		if _, err := readRequest(&amqp.Delivery{Body: out}); err != nil {
			t.Fatalf("cannot read what we pass on: %v", err)
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, name := range []string{"call_reply", "failure_reply"} {
		f.Add(recorded(f, name).body(f))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := readReply(&amqp.Delivery{Body: body})
		if err != nil || r.Failure == nil {
			return
		}
		failureOf(decodeFailure(*r.Failure)).encode()
	})
}

func FuzzFailure(f *testing.F) {
	f.Add(recorded(f, "failure_reply").text(f, "failure"))
	f.Add(`{"class": null, "kwargs": 7}`)
	f.Fuzz(func(t *testing.T, text string) {
		e := decodeFailure(text)
		if e.Error() == "" && e.Class != "" {
			t.Errorf("failure %+v has no text", e.Failure)
		}
		again := decodeFailure(string(failureOf(e).encode()))
		if again.Class != e.Class && !strings.HasSuffix(e.Class, remoteSuffix) {
			t.Errorf("class %q became %q", e.Class, again.Class)
		}
	})
}
