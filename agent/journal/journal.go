// Package journal remembers on disk what a node was doing, for the process that comes after one that was killed.
//
// There is one small file for every operation under way. It says which operation, on which instance, for whose
// request and at which step, and what it has made that neither Nova's records nor the host would show: an image half
// uploaded, the ports that were there before. It goes when the operation ends. What the records, libvirt and the
// files tell is not repeated here: they are the truth, and a journal that is lost costs a good answer, never a guest.
//
// Files are replaced, never changed, so that a reader finds a whole one. A step is written as the process goes by; a
// change is on the disk when the call returns. The package starts no goroutines; a Journal and its entries may be used
// concurrently.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"
	"github.com/sirupsen/logrus"
)

const suffix = ".json"

// Record is one operation.
type Record struct {
	Operation string    `json:"operation"` // the RPC method
	Instance  string    `json:"instance"`
	RequestID string    `json:"request_id"`
	Event     string    `json:"event,omitempty"` // the instance action event that is open
	Began     time.Time `json:"began"`
	Step      string    `json:"step,omitempty"`

	Images  []string `json:"images,omitempty"`  // images in Glance that it makes
	Paths   []string `json:"paths,omitempty"`   // files and directories that nobody else knows
	Ports   *Ports   `json:"ports,omitempty"`   // the ports it adds; nil: none
	Leaving []string `json:"leaving,omitempty"` // ports that it takes away

	Migration int64 `json:"migration,omitempty"` // the id of the move that it is part of; 0: none

	// Fields of the instance's record as they were before the operation changed them for its own time.
	Fields map[string]any `json:"fields,omitempty"`
}

// Ports tells the ports that an operation adds to an instance from those that it had.
type Ports struct {
	Before  []string `json:"before,omitempty"`  // the instance had them
	Foreign []string `json:"foreign,omitempty"` // the user made them: to be freed, not deleted
}

// Journal is a directory of records. A nil Journal keeps none.
type Journal struct {
	dir string
	log *logrus.Entry
}

// Open makes the directory if need be and reads what the process before left in it, oldest first. A file that cannot
// be read is named in the log and set aside.
func Open(dir string, log *logrus.Entry) (*Journal, []*Entry, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("open the journal: %w", err)
	}
	files, err := os.ReadDir(dir) // in the order of their names, which begin with the time
	if err != nil {
		return nil, nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &Journal{dir: dir, log: log}
	var left []*Entry
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if strings.HasPrefix(f.Name(), ".") {
			_ = os.Remove(path) // half written by a process that was killed
			continue
		}
		if !strings.HasSuffix(f.Name(), suffix) {
			continue
		}
		e := &Entry{journal: j, path: path}
		if err := e.read(); err != nil {
			log.WithError(err).Warn("a journal file cannot be read and is set aside")
			_ = os.Rename(path, path+".bad") // if it cannot be, it is named again next time
			continue
		}
		left = append(left, e)
	}
	return j, left, nil
}

// Begin opens a record. An operation whose record cannot be written goes on without: the log says so.
func (j *Journal) Begin(r Record) *Entry {
	if j == nil {
		return nil
	}
	if r.Began.IsZero() {
		r.Began = time.Now()
	}
	name := r.Began.UTC().Format("20060102T150405.000000000") + "-" + filepath.Base(r.Instance) + suffix
	e := &Entry{journal: j, path: filepath.Join(j.dir, name), record: r}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writeLocked(fleeting)
	return e
}

// Entry is one record and its file. A nil Entry is one of nothing: it may be told everything and keeps nothing.
type Entry struct {
	journal *Journal
	path    string

	mu     sync.Mutex
	record Record
	failed bool // a write failed, and the log says so
	ended  bool
}

func (e *Entry) read() error {
	raw, err := os.ReadFile(e.path)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	if err := json.Unmarshal(raw, &e.record); err != nil {
		return fmt.Errorf("read the journal: %s: %w", e.path, err)
	}
	if e.record.Instance == "" || e.record.Operation == "" {
		return fmt.Errorf("read the journal: %s names no operation", e.path)
	}
	return nil
}

// Record is what the entry says now.
func (e *Entry) Record() Record {
	if e == nil {
		return Record{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.record
}

// Step says what the operation does now.
func (e *Entry) Step(name string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.record.Step = name
	e.writeLocked(fleeting)
}

// Note changes the record; it is on the disk when Note returns.
func (e *Entry) Note(change func(*Record)) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.record)
	e.writeLocked(lasting)
}

// End removes the file. Further calls do nothing.
func (e *Entry) End() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	if err := os.Remove(e.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		e.warnLocked(err)
	}
}

// durability is how much a write is to outlive.
type durability int

const (
	fleeting durability = iota // the process
	lasting                    // the machine's power
)

func (e *Entry) writeLocked(d durability) {
	if e.ended {
		return
	}
	raw, err := json.Marshal(e.record)
	if err == nil {
		err = e.replace(raw, d)
	}
	if err != nil {
		e.warnLocked(err)
	}
}

func (e *Entry) replace(raw []byte, d durability) error {
	if d == lasting {
		return renameio.WriteFile(e.path, raw, 0o600)
	}
	temporary := filepath.Join(filepath.Dir(e.path), "."+filepath.Base(e.path))
	err := os.WriteFile(temporary, raw, 0o600)
	if err == nil {
		err = os.Rename(temporary, e.path)
	}
	if err != nil {
		_ = os.Remove(temporary) // what a full disk took of it; Open removes it else
	}
	return err
}

func (e *Entry) warnLocked(err error) {
	if !e.failed {
		e.journal.log.WithError(err).WithField("instance", e.record.Instance).Warn("journal not written; a crash now would leave more to guess")
	}
	e.failed = true
}
