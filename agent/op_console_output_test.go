package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTailArgument(t *testing.T) {
	for raw, want := range map[string]int{"": allLines, "null": allLines, "3": 3, `"7"`: 7, `"x"`: 0, "-1": allLines, `"-2"`: allLines, "0": 0, "[]": 0} {
		got, err := tailArgument(json.RawMessage(raw))
		if err != nil || got != want {
			t.Errorf("tail_length %s: %d, %v; want %d", raw, got, err, want)
		}
	}
	if _, err := tailArgument(json.RawMessage("{")); err == nil {
		t.Error("malformed argument accepted")
	}
}

func TestTail(t *testing.T) {
	log := []byte("one\ntwo\nthree")
	for lines, want := range map[int]string{allLines: "one\ntwo\nthree", 0: "", 1: "three", 2: "two\nthree", 9: "one\ntwo\nthree"} {
		if got := tail(log, lines); got != want {
			t.Errorf("tail %d = %q, want %q", lines, got, want)
		}
	}
}

func TestReadConsoleGoesBackToRolledFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	for name, text := range map[string]string{path: "new", path + ".0": "older", path + ".1": "oldest"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for limit, want := range map[int64]string{2: "ew", 3: "new", 5: "ernew", 100: "oldestoldernew"} {
		got, err := readConsole(path, limit)
		if err != nil || string(got) != want {
			t.Errorf("limit %d: %q, %v; want %q", limit, got, err, want)
		}
	}
}

func TestReadConsoleNotThereYet(t *testing.T) {
	got, err := readConsole(filepath.Join(t.TempDir(), "console.log"), 10)
	if err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReadConsoleRefusesOtherThanFiles(t *testing.T) {
	if _, err := readConsole(t.TempDir(), 10); err == nil {
		t.Error("read a directory")
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x00\xffb\xc3\xa9"); got != "a\x00\uFFFDb\uFFFD\uFFFD" || !json.Valid([]byte(`"`+strings.ReplaceAll(got, "\x00", "")+`"`)) {
		t.Errorf("%q", got)
	}
}
