package agent

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bolide/rpc/nova"
)

// recordings are messages recorded between the services of an unmodified OpenStack with Nova's own node, one file for
// each thing that a user asked for.
const recordings = "../rpc/nova/testdata"

// recording is one of them, or what is asked for where there is none.
type recording struct {
	messages []message
	made     []message // in the place of requests, where nothing was recorded
}

// message is one line of a recording.
type message struct {
	Key     string // routing key
	Message struct {
		Method  string
		Args    map[string]json.RawMessage
		MsgID   string `json:"_msg_id"`
		Request string `json:"_context_request_id"`
	}
}

func (m message) arg(name string, v any) {
	_ = json.Unmarshal(m.Message.Args[name], v) // what is not there stays empty
}

func readRecording(t *testing.T, name string) recording {
	t.Helper()
	file, err := os.Open(filepath.Join(recordings, name+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		r.messages = append(r.messages, m)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

// requests are the messages that asked the node to do something: the first of each request of a user's that reached it
// and that opened an event.
func (r recording) requests() []message {
	out := r.made
	for i, m := range r.messages {
		id := m.Message.Request
		asked := strings.HasPrefix(m.Key, "compute.") && !slices.ContainsFunc(out, func(o message) bool { return o.Message.Request == id })
		if asked && slices.ContainsFunc(r.messages[i:], func(o message) bool { return o.Message.Request == id && o.opensEvent() }) {
			out = append(out, m)
		}
	}
	return out
}

func (m message) opensEvent() bool {
	var method string
	m.arg("objmethod", &method)
	return method == "event_start"
}

// sequence is what Nova's own node wrote for the requests, and whom it asked for more, in the form that a recorder has
// for it.
func (r recording) sequence(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, request := range r.requests() {
		var lines []string
		for _, m := range r.messages {
			if m.Message.Request == request.Message.Request && (len(lines) > 0 || m.opensEvent()) {
				lines = append(lines, m.line(t))
			}
		}
		out = append(out, effective(lines, request.instance(t))...)
	}
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "=vm", "=here")
	}
	return numbered(out)
}

var identifier = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// numbered has numbers in the place of identifiers, by the order in which they come.
func numbered(lines []string) []string {
	numbers := map[string]string{}
	for i := range lines {
		lines[i] = identifier.ReplaceAllStringFunc(lines[i], func(id string) string {
			if numbers[id] == "" {
				numbers[id] = fmt.Sprintf("#%d", len(numbers)+1)
			}
			return numbers[id]
		})
	}
	return lines
}

// effective are the lines that tell of states, events, faults, migrations and casts. Of a save they have the fields that
// change something: Nova's own node also writes what is as it was.
func effective(lines []string, before *nova.Object) []string {
	known := map[string]string{}
	for _, f := range allFields {
		if v := before.Raw(f); !strings.HasSuffix(f, "_at") {
			known[f] = fmt.Sprint(orNone(v))
		}
	}
	var out []string
	for _, line := range onlyWrites(lines) {
		if line = withoutKnown(line, known); line != "save" {
			out = append(out, line)
		}
	}
	return out
}

// withoutKnown drops from a save what is known, and notes the rest.
func withoutKnown(line string, known map[string]string) string {
	save, condition, conditional := strings.Cut(line, " if ")
	words := strings.Fields(save)
	if words[0] != "save" {
		return line
	}
	words = slices.DeleteFunc(words, func(word string) bool {
		f, v, _ := strings.Cut(word, "=")
		same := f != "save" && known[f] == v
		known[f] = v
		return same && !strings.HasSuffix(f, "_at")
	})
	if conditional {
		words = append(words, "if", condition)
	}
	return strings.Join(words, " ")
}

// instance is the instance as the request has it.
func (m message) instance(t *testing.T) *nova.Object {
	t.Helper()
	o, err := nova.Decode(m.Message.Args["instance"])
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// line is the message as a recorder writes it down.
func (m message) line(t *testing.T) string {
	t.Helper()
	var class, method string
	var args []any
	var kwargs map[string]any
	m.arg("objmethod", &method)
	m.arg("objname", &class)
	m.arg("kwargs", &kwargs)
	m.arg("args", &args)
	switch m.Message.Method {
	case "object_action":
		o, err := nova.Decode(m.Message.Args["objinst"])
		if err != nil {
			t.Fatal(err)
		}
		return describeAction(o, method, kwargs, allFields)
	case "object_class_action_versions":
		return describeClassAction(class, method, args, kwargs)
	}
	if m.Message.MsgID != "" {
		return "call " + m.Message.Method
	}
	return "cast " + m.Message.Method
}

// translated is the arguments of a request with other names in the place of those recorded.
func (m message) translated(names map[string]string) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(m.Message.Args))
	for arg, raw := range m.Message.Args {
		for recorded, ours := range names {
			raw = bytes.ReplaceAll(raw, []byte(recorded), []byte(ours))
		}
		out[arg] = raw
	}
	return out
}
