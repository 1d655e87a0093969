package nova

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bolide/rpc"

	gocmp "github.com/google/go-cmp/cmp"
)

// Messages recorded between the services of an unmodified Zed with Nova's own
// node, one file per operation, one message per line. Tokens are cut out.

// recorded is a request with the reply to it.
type recorded struct {
	file     string
	Exchange string
	Key      string
	Message  struct {
		Method    string                     `json:"method"`
		Namespace string                     `json:"namespace"`
		Version   string                     `json:"version"`
		Args      map[string]json.RawMessage `json:"args"`
		MsgID     string                     `json:"_msg_id"`
		Timeout   *int                       `json:"_timeout"`
		Result    json.RawMessage            `json:"result"`
		Failure   string                     `json:"failure"`
	}
	result  json.RawMessage
	failure *rpc.RemoteError
	cast    bool
}

// recordings reads all requests. A reply may stand in the next recording:
// they were cut by time.
func recordings(tb testing.TB) []*recorded {
	tb.Helper()
	all, err := readRecordings()
	if err != nil {
		tb.Fatal(err)
	}
	out := make([]*recorded, len(all))
	for i, r := range all {
		own := *r
		own.Message.Args = maps.Clone(r.Message.Args) // tests may change theirs
		out[i] = &own
	}
	return out
}

var readRecordings = sync.OnceValues(func() ([]*recorded, error) {
	files, err := filepath.Glob("testdata/*.jsonl.gz")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no recordings: %w", err)
	}
	slices.Sort(files)
	var requests []*recorded
	replies := map[string]*recorded{}
	for _, file := range files {
		messages, err := readMessages(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, r := range messages {
			if r.Message.Method == "" {
				replies[r.Message.MsgID] = r
			} else {
				requests = append(requests, r)
			}
		}
	}
	for _, r := range requests {
		r.cast = r.Message.MsgID == ""
		reply := replies[r.Message.MsgID]
		if reply == nil || r.cast {
			continue
		}
		r.result = reply.Message.Result
		if reply.Message.Failure != "" {
			r.failure = &rpc.RemoteError{}
			if err := json.Unmarshal([]byte(reply.Message.Failure), &r.failure.Failure); err != nil {
				return nil, fmt.Errorf("%s: failure: %w", r.file, err)
			}
		}
	}
	return requests, nil
})

func readMessages(file string) ([]*recorded, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var all []*recorded
	for d := json.NewDecoder(z); ; {
		r := &recorded{file: filepath.Base(file)}
		switch err := d.Decode(r); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, r)
	}
}

// routingKey is the queue a target names.
func routingKey(t rpc.Target) (exchange, key string) {
	if t.Fanout {
		return t.Topic + "_fanout", ""
	}
	exchange = cmp.Or(t.Exchange, "nova")
	if t.Server != "" {
		return exchange, t.Topic + "." + t.Server
	}
	return exchange, t.Topic
}

// sameJSON compares two values by their JSON; the order of change lists does not count.
func sameJSON(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if diff := gocmp.Diff(canonical(tb, want), canonical(tb, got)); diff != "" {
		tb.Errorf("%s (-recorded +ours):\n%s", what, diff)
	}
}

func canonical(tb testing.TB, v any) any {
	tb.Helper()
	raw, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			tb.Fatal(err)
		}
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil {
		tb.Fatalf("%s: %v", raw, err)
	}
	sortChanges(out)
	return out
}

func sortChanges(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			sortChanges(item)
		}
	case map[string]any:
		for key, item := range v {
			if list, ok := item.([]any); ok && strings.HasSuffix(key, "object.changes") {
				slices.SortFunc(list, func(a, b any) int { return cmp.Compare(a.(string), b.(string)) })
			}
			sortChanges(item)
		}
	}
}
