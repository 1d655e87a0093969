package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The tests of this file give the same input to oslo.config and to this
// package. They need Nova's Python packages and are skipped without.

// askPython runs a script of testdata and decodes what it prints.
func askPython(t *testing.T, env []string, in, out any, args ...string) {
	t.Helper()
	cmd := exec.Command(needPython(t), args...)
	cmd.Dir = "testdata"
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Env = bytes.NewReader(text), append(cmd.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err = cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, &stderr)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
}

// randomText puts pieces together until it has about n.
func randomText(rng *rand.Rand, n int, pieces []string) string {
	var b strings.Builder
	for range rng.IntN(n) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

func TestParsesLikeOslo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{
		"[DEFAULT]\n", "[libvirt]\n", "[x", "]", "a", "b", "=", " = ", ":", "#", ";", "\"", "'", "\n", "\n", "\n ", "\n\t", " ",
		"\r\n", "\r", "\v", "\f", "\u00a0", "\x1c", "\u0085", "\u2028", "é", "\ufeff", ",", "$", "[]\n",
	}
	texts := make([]string, 4000)
	for i := range texts {
		texts[i] = randomText(rng, 24, pieces)
		if i%2 == 0 {
			texts[i] = "[s]\nk = v" + texts[i]
		}
	}
	var theirs [][][3]string
	askPython(t, nil, texts, &theirs, "oslo.py", "parse")
	for i, text := range texts {
		as, err := parseINI(text)
		if (err != nil) != (theirs[i] == nil) {
			t.Errorf("%q: error %v, oslo.config gives %q", text, err, theirs[i])
			continue
		}
		var ours [][3]string
		for _, a := range as {
			ours = append(ours, [3]string{a.section, a.name, a.value})
		}
		less := func(a, b [3]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) }
		slices.SortStableFunc(ours, less)
		slices.SortStableFunc(theirs[i], less)
		if err == nil && !slices.Equal(ours, theirs[i]) {
			t.Errorf("%q:\n got %q\nwant %q", text, ours, theirs[i])
		}
	}
}

// conversions are this package's, in the words of testdata/options.py.
var conversions = map[string]func(string) (any, error){
	"bool": func(s string) (any, error) { return parseBool(s) },
	"int": func(s string) (any, error) {
		n, ok, err := parseInt(s)
		if !ok {
			return nil, err
		}
		return n, err
	},
	"port": func(s string) (any, error) {
		n, ok, err := parseInt(s)
		if !ok {
			return nil, err
		}
		if n < 0 || n > 65535 {
			return nil, fmt.Errorf("%d is not a port", n)
		}
		return n, err
	},
	"float": func(s string) (any, error) {
		f, ok, err := parseFloat(s)
		if !ok {
			return nil, err
		}
		return f, err
	},
	"list": func(s string) (any, error) {
		return append([]string{}, parseList(s)...), nil
	},
	"dict":   func(s string) (any, error) { return parseDict(s) },
	"ip":     func(s string) (any, error) { return s, checkIP(s) },
	"host":   func(s string) (any, error) { return strings.TrimSuffix(s, "."), checkHost(s, hostLabel) },
	"domain": func(s string) (any, error) { return strings.TrimSuffix(s, "."), checkHost(s, domainLabel) },
}

func TestConvertsLikeOslo(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pieces := map[string][]string{
		"bool":   {"true", "TRUE", "yes", "No", "on", "off", "0", "1", " ", "t"},
		"int":    {"1", "0", "12", "_", "-", "+", " ", "\t", "x", ".", "e"},
		"port":   {"1", "0", "6553", "5", "6", "-", " "},
		"float":  {"1", "0", "12", "_", "-", "+", " ", ".", "e", "5"},
		"list":   {"a", "b", ",", " ", "\n", "\"", "é"},
		"dict":   {"a", "b", ",", ":", " ", "c:d", "\n"},
		"ip":     {"1", "10.0.0.1", "10.0.0", ".", ":", "::1", "fe80::", "256", "a", "00"},
		"host":   {"a", "host", ".", "-", "1", "10.0.0.1", "_", "::1", strings.Repeat("x", 63)},
		"domain": {"a", "host", ".", "-", "1", "10.0.0.1", "_", "::1", strings.Repeat("x", 63)},
	}
	var in [][2]string
	for _, kind := range sortedKeys(pieces) {
		for range 500 {
			in = append(in, [2]string{kind, randomText(rng, 7, pieces[kind])})
		}
	}
	var theirs []*string
	askPython(t, nil, in, &theirs, "oslo.py", "convert")
	for i, c := range in {
		if theirs[i] != nil && strings.HasSuffix(*theirs[i], "Infinity") {
			continue // no option has a use for it
		}
		v, err := conversions[c[0]](c[1])
		if (err != nil) != (theirs[i] == nil) {
			t.Errorf("%s %q: %v, %v; oslo.config gives %v", c[0], c[1], v, err, deref(theirs[i]))
			continue
		}
		if err == nil && !sameJSON(v, *theirs[i]) {
			t.Errorf("%s %q: %v; oslo.config gives %v", c[0], c[1], v, *theirs[i])
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return "an error"
	}
	return *s
}

func sameJSON(v any, text string) bool {
	ours, err := json.Marshal(v)
	if err != nil {
		return false
	}
	var a, b any
	return json.Unmarshal(ours, &a) == nil && json.Unmarshal([]byte(text), &b) == nil && fmt.Sprint(a) == fmt.Sprint(b)
}

func TestResolvesLikeOslo(t *testing.T) {
	env := []string{
		"OS_DEFAULT__MAX_CONCURRENT_BUILDS= 4 ", "OS_LIBVIRT__CPU_MODE=none", "OS_DEFAULT__DEBUG=on",
		"OS_NEUTRON__PASSWORD=pa$$word", "OS_VNC__SERVER_LISTEN=$my_ip",
	}
	sources := []Source{{File: "testdata/nova.conf"}, {Dir: "testdata/conf.d"}, {File: "testdata/nova-compute.conf"}}
	args := []string{"options.py", "values"}
	for _, s := range sources {
		if s.Dir != "" {
			args = append(args, "--config-dir", strings.TrimPrefix(s.Dir, "testdata/"))
		} else {
			args = append(args, "--config-file", strings.TrimPrefix(s.File, "testdata/"))
		}
	}
	var theirs map[string]struct {
		Value, Error string
		Empty        bool
	}
	askPython(t, env, nil, &theirs, args...)

	c, _, err := Load(Options{Sources: sources, SearchDirs: []string{}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, o := range declare(c, "zed") {
		want, ok := theirs[o.section+"."+o.name]
		if !ok || want.Error != "" {
			if want.Error != "" {
				t.Errorf("%s: oslo.config: %s", o.ref, want.Error)
			}
			continue
		}
		if o.ref == (ref{"DEFAULT", "control_exchange"}) {
			continue // set by Nova's code, which does not run here
		}
		compared++
		got := o.python()
		if want.Empty && (got == "" || got == "[]" || got == "0") {
			continue
		}
		if o.multi() {
			got = strings.Join(strings.Fields(o.text()), " ")
			want.Value = strings.Join(strings.Fields(strings.NewReplacer("[", "", "]", "", "'", "", ",", " ").Replace(want.Value)), " ")
		}
		if o.tag.Get("kind") == "float" {
			got = strings.TrimSuffix(got, ".0")
			want.Value = strings.TrimSuffix(want.Value, ".0")
		}
		if got != want.Value {
			t.Errorf("%s = %q, oslo.config gives %q", o.ref, got, want.Value)
		}
	}
	if compared < 250 {
		t.Errorf("compared %d options only", compared)
	}
}
