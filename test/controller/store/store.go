// Package store keeps JSON records in one file, for the services of the
// embedded control plane. What it holds survives the end of the process, also a
// violent one; it does not wait for the disk, so a power cut may lose it.
//
// The package starts no goroutines. A Store may be used concurrently: reading
// transactions see one moment, writing ones come one after the other.
package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Store is one file of records in named buckets.
type Store struct{ db *bbolt.DB }

// lockWait bounds the wait for another process that has the file open.
const lockWait = 5 * time.Second

// Open opens the file at path, creating it where there is none.
func Open(path string) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, NoSync: true, NoFreelistSync: true})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &Store{db}, nil
}

// Close writes everything out and closes the file.
func (s *Store) Close() error {
	if err := s.db.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return s.db.Close()
}

// View runs fn in a reading transaction and returns its error.
func (s *Store) View(fn func(*Tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) })
}

// Update runs fn in a writing transaction: all of it happens, or, when fn
// returns an error, nothing.
func (s *Store) Update(fn func(*Tx) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) })
}

// Tx is a transaction; it is for one goroutine, until its function returns.
type Tx struct{ tx *bbolt.Tx }

// Get reads the record under key into v, and says whether there is one.
func (t *Tx) Get(bucket, key string, v any) (bool, error) {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return false, nil
	}
	raw := b.Get([]byte(key))
	if raw == nil {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("%s %s: %w", bucket, key, err)
	}
	return true, nil
}

// Put writes v under key, over what was there.
func (t *Tx) Put(bucket, key string, v any) error {
	b, err := t.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return fmt.Errorf("%s: %w", bucket, err)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s %s: %w", bucket, key, err)
	}
	if err := b.Put([]byte(key), raw); err != nil {
		return fmt.Errorf("%s %s: %w", bucket, key, err)
	}
	return nil
}

// Delete removes the record under key; it may be gone already.
func (t *Tx) Delete(bucket, key string) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	if err := b.Delete([]byte(key)); err != nil {
		return fmt.Errorf("%s %s: %w", bucket, key, err)
	}
	return nil
}

// NextID counts up from 1, for each bucket on its own.
func (t *Tx) NextID(bucket string) (int64, error) {
	b, err := t.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", bucket, err)
	}
	id, err := b.NextSequence()
	return int64(id), err
}

// Key is the key of a numbered record: keys sort as their numbers do.
func Key(id int64) string {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], uint64(id))
	return string(key[:])
}

// All reads the records of a bucket that match, in the order of their keys. A
// nil match takes all.
func All[T any](t *Tx, bucket string, match func(T) bool) ([]T, error) {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil, nil
	}
	var out []T
	err := b.ForEach(func(key, raw []byte) error {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("%s %s: %w", bucket, key, err)
		}
		if match == nil || match(v) {
			out = append(out, v)
		}
		return nil
	})
	return out, err
}
