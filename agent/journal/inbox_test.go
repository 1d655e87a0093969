package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
)

func openInbox(t *testing.T, dir string) (*Inbox, []string, *test.Hook) {
	t.Helper()
	logger, hook := test.NewNullLogger()
	i, left, err := OpenInbox(dir, logrus.NewEntry(logger))
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for _, k := range left {
		messages = append(messages, string(k.Message))
	}
	return i, messages, hook
}

func TestRequestsAreKeptUntilTheyBegin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	i, left, _ := openInbox(t, dir)
	if len(left) != 0 {
		t.Fatalf("a new inbox holds %q", left)
	}
	i.Keep([]byte(`{"n":1}`))
	begun := i.Keep([]byte(`{"n":2}`))
	i.Keep([]byte(`{"n":3}`))
	begun()
	begun() // again, which does nothing
	for range mostStarts {
		_, left, _ = openInbox(t, dir)
		if diff := cmp.Diff([]string{`{"n":1}`, `{"n":3}`}, left); diff != "" {
			t.Fatalf("left by the process before (-want +got):\n%s", diff)
		}
	}
	_, left, hook := openInbox(t, dir)
	if len(left) != 0 || len(hook.AllEntries()) != 2 {
		t.Errorf("after %d processes that died of them: %q, %d lines", mostStarts, left, len(hook.AllEntries()))
	}
	if _, _, hook = openInbox(t, dir); len(hook.AllEntries()) != 0 {
		t.Error("what was set aside is named again")
	}
}

// TestSpoiltRequestsAreSetAside: also those that are too old, which another program may have settled since.
func TestSpoiltRequestsAreSetAside(t *testing.T) {
	dir := t.TempDir()
	now, whole := time.Now(), `{"starts":0,"message":{"a":1}}`
	for name, content := range map[string]string{
		".half.json": "{", stamp(now) + "-1.json": whole, stamp(now) + "-2.json": "nonsense", "3.txt": "not ours",
		stamp(now.Add(-keptFor-time.Minute)) + "-4.json": whole, "5.json": whole,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, left, hook := openInbox(t, dir)
	if diff := cmp.Diff([]string{`{"a":1}`}, left); diff != "" || len(hook.AllEntries()) != 3 {
		t.Errorf("%d lines; left (-want +got):\n%s", len(hook.AllEntries()), diff)
	}
}

func TestAnInboxThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	i, _, hook := openInbox(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		i.Keep([]byte("{}"))
	}
	if n := len(hook.AllEntries()); n != 1 {
		t.Errorf("%d lines about it, want 1", n)
	}
	var none *Inbox
	none.Keep([]byte("{}"))()
}
