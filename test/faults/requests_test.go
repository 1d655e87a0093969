package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// request is a message to the node: what was recorded of one between Nova's own
// services, as it may be changed.
type request map[string]any

// recordedRequests are all requests to a compute service in the recordings.
func recordedRequests(t *testing.T) []request {
	t.Helper()
	files, err := filepath.Glob("../../rpc/nova/testdata/*.jsonl.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var all []request
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(z); ; {
			var line struct {
				Key     string
				Message request
			}
			err := d.Decode(&line)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line.Key, "compute.") {
				all = append(all, line.Message)
			}
		}
	}
	return all
}

// about is a copy of the request that names another instance and says where it is.
func (r request) about(id, host string) request {
	raw, err := json.Marshal(r)
	if err != nil {
		panic(err) // it was JSON
	}
	var copied request
	if known := r.instance(); known != nil {
		from, err := json.Marshal(known["uuid"])
		if err != nil {
			panic(err)
		}
		raw = bytes.ReplaceAll(raw, from, []byte(strconv.Quote(id)))
	}
	if err := json.Unmarshal(raw, &copied); err != nil {
		panic(err)
	}
	copied["_unique_id"] = strings.ReplaceAll(uuid.NewString(), "-", "")
	if data := copied.instance(); data != nil {
		data["host"] = host
	}
	return copied
}

// instance is the data of the instance that the request is about; nil: of none.
func (r request) instance() map[string]any {
	args, _ := r["args"].(map[string]any)
	object, _ := args["instance"].(map[string]any)
	data, _ := object["nova_object.data"].(map[string]any)
	return data
}

// evil is something that no service sends.
func evil() any {
	all := []any{
		"", "..", "../../../../etc", "/etc/passwd", "a/b", "\x00", "%s%n", "-rf", strings.Repeat("x", 1<<16), nil, true, -1, 1e300,
		json.Number("99999999999999999999"), map[string]any{}, []any{}, []any{nil}, map[string]any{"nova_object.name": "Instance"},
	}
	return all[rand.IntN(len(all))]
}

// mutate spoils some places of a message.
func mutate(r request) {
	for range 1 + rand.IntN(4) {
		var at any = map[string]any(r)
		for {
			keys, children := places(at)
			if len(keys) == 0 {
				break
			}
			n := rand.IntN(len(keys))
			if _, more := places(children[n]); len(more) > 0 && rand.IntN(8) > 0 {
				at = children[n]
				continue
			}
			spoil(at, keys[n])
			break
		}
	}
}

// places are the keys and the values in a JSON value.
func places(v any) (keys, values []any) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			keys, values = append(keys, k), append(values, child)
		}
	case []any:
		for i, child := range v {
			keys, values = append(keys, i), append(values, child)
		}
	}
	return keys, values
}

func spoil(container, key any) {
	switch c := container.(type) {
	case map[string]any:
		if rand.IntN(4) == 0 {
			delete(c, key.(string))
			return
		}
		c[key.(string)] = evil()
	case []any:
		c[key.(int)] = evil()
	}
}

// wire sends messages to the node, whatever they are.
type wire struct {
	g       *ground
	channel *amqp.Channel
}

func (g *ground) openWire() *wire {
	g.t.Helper()
	conn, err := g.Broker.Dial()
	g.must(err)
	g.t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	g.must(err)
	return &wire{g, ch}
}

func (w *wire) raw(body []byte) {
	w.g.t.Helper()
	w.g.must(w.channel.PublishWithContext(w.g.ctx(), "nova", "compute."+Host, false, false, amqp.Publishing{ContentType: "application/json", Body: body}))
}

func (w *wire) send(r request) {
	w.g.t.Helper()
	inner, err := json.Marshal(r)
	w.g.must(err)
	body, err := json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": string(inner)})
	w.g.must(err)
	w.raw(body)
}
