package journal

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
)

// mostStarts is how many processes try a request before it is set aside: it may be what they die of.
const mostStarts = 3

// keptFor is how old a request may be that is tried again. An older one has been given up by who asked for it, or
// another program has served this host meanwhile and has settled what it found.
const keptFor = 5 * time.Minute

// Inbox keeps the requests that have come and that no operation has begun yet: the broker has forgotten them, and the
// journal has no page for them. There is one small file for each. It holds what the requester sent, with the token of
// the user if there is one, and goes when the operation begins.
//
// An Inbox may be used concurrently. A nil Inbox keeps nothing.
type Inbox struct {
	dir       string
	complaint complaint
}

// Kept is a request that the process before had taken and not begun.
type Kept struct {
	Message []byte
	Forget  func()
}

type keptFile struct {
	Starts  int             `json:"starts"` // processes that have tried it since the one that took it
	Message json.RawMessage `json:"message"`
}

// OpenInbox makes the directory if need be and reads what the process before left in it, oldest first. A file that
// cannot be read, or that was tried too often, is named in the log and set aside.
func OpenInbox(dir string, log *logrus.Entry) (*Inbox, []Kept, error) {
	files, err := list(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open the inbox: %w", err)
	}
	i := &Inbox{dir: dir, complaint: complaint{log: log, text: "requests cannot be kept; a crash before they begin would lose them"}}
	var left []Kept
	for _, path := range files {
		message, err := i.tryAgain(path)
		if err != nil {
			log.WithError(err).Warn("a request that was kept is set aside")
			setAside(path)
			continue
		}
		left = append(left, Kept{Message: message, Forget: i.forget(path)})
	}
	return i, left, nil
}

// tryAgain reads a request and notes that one more process tries it, if it can be noted.
func (i *Inbox) tryAgain(path string) ([]byte, error) {
	if old, err := age(path); err != nil || old > keptFor {
		return nil, fmt.Errorf("read a kept request: %s: it is %s old, at most %s are allowed", path, old.Round(time.Second), keptFor)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a kept request: %w", err)
	}
	var f keptFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("read a kept request: %s: %w", path, err)
	}
	if f.Starts++; f.Starts > mostStarts {
		return nil, fmt.Errorf("read a kept request: %s: %d processes have ended before it began", path, mostStarts)
	}
	i.complaint.note(write(path, f))
	return f.Message, nil
}

// Keep writes a request down, and returns what removes it. One that cannot be written goes on without: the log says so.
func (i *Inbox) Keep(message []byte) (forget func()) {
	if i == nil {
		return func() {}
	}
	path := filepath.Join(i.dir, stamp(time.Now())+"-"+rand.Text()+suffix)
	i.complaint.note(write(path, keptFile{Message: message}))
	return i.forget(path)
}

func (i *Inbox) forget(path string) func() {
	return func() {
		if err := remove(path); err != nil {
			i.complaint.note(err)
		}
	}
}

func write(path string, f keptFile) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("keep a request: %w", err)
	}
	return replace(path, raw)
}
