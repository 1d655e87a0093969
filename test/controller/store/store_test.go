package store

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type record struct {
	Name string
	Size int
}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecordsSurviveAReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	err := s.Update(func(tx *Tx) error {
		for _, name := range []string{"b", "a", "c"} {
			id, err := tx.NextID("things")
			if err != nil {
				return err
			}
			if err := tx.Put("things", Key(id), record{name, int(id)}); err != nil {
				return err
			}
		}
		return tx.Delete("things", Key(3))
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	err = s.View(func(tx *Tx) error {
		all, err := All(tx, "things", func(r record) bool { return r.Size > 0 })
		if diff := cmp.Diff([]record{{"b", 1}, {"a", 2}}, all); diff != "" {
			t.Error(diff)
		}
		var r record
		if found, err := tx.Get("things", Key(2), &r); !found || err != nil || r.Name != "a" {
			t.Errorf("get: %v %v %+v", found, err, r)
		}
		if found, err := tx.Get("nothing", "x", &r); found || err != nil {
			t.Errorf("get of nothing: %v %v", found, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "db"))
	defer s.Close()
	stop := errors.New("stop")
	err := s.Update(func(tx *Tx) error {
		if err := tx.Put("things", "x", record{}); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatalf("update: %v", err)
	}
	err = s.View(func(tx *Tx) error {
		all, err := All[record](tx, "things", nil)
		if len(all) != 0 {
			t.Errorf("left: %v", all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
