// Package cell is the database of the embedded control plane's Nova: rows of
// versioned objects, with the rules by which Nova's own objects are created,
// saved and deleted. Conductor serves it to the nodes, and the compute API
// changes it beside them; what keeps them apart are the expected states of
// SaveInstance, checked and written in one transaction as Nova's UPDATE does.
//
// An object given to a method that creates, saves or destroys it is changed as
// Nova's method changes it, down to the marks of what has changed. The package
// starts no goroutines; a DB may be used concurrently.
package cell

import (
	"time"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/store"
)

// DB is the database.
type DB struct {
	store   *store.Store
	profile nova.Profile
	now     func() time.Time
}

// Options of a DB.
type Options struct {
	Store   *store.Store     // required
	Profile nova.Profile     // the release of the objects; required
	Now     func() time.Time // default time.Now
}

// New makes a DB in a store.
func New(o Options) *DB {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &DB{o.Store, o.Profile, o.Now}
}

// Profile is the release of the objects.
func (d *DB) Profile() nova.Profile { return d.profile }

// View reads in the name of a request.
func (d *DB) View(rc rpc.Context, fn func(*Tx) error) error {
	return d.store.View(func(tx *store.Tx) error { return fn(d.tx(tx, rc)) })
}

// Update changes in the name of a request: everything fn did, or nothing when
// it returns an error.
func (d *DB) Update(rc rpc.Context, fn func(*Tx) error) error {
	return d.store.Update(func(tx *store.Tx) error { return fn(d.tx(tx, rc)) })
}

func (d *DB) tx(tx *store.Tx, rc rpc.Context) *Tx {
	return &Tx{tx: tx, profile: d.profile, rc: rc, now: d.now().UTC().Truncate(time.Second)}
}

// Tx is a transaction, for one goroutine until its function returns.
type Tx struct {
	tx      *store.Tx
	profile nova.Profile
	rc      rpc.Context
	now     time.Time
	deleted bool
}

// ShowDeleted makes lookups find deleted rows too, from here on.
func (t *Tx) ShowDeleted() { t.deleted = true }

// Context is that of the request.
func (t *Tx) Context() rpc.Context { return t.rc }

// Now is the time of the transaction, to the second as Nova's database has it.
func (t *Tx) Now() time.Time { return t.now }

// Profile is the release of the objects.
func (t *Tx) Profile() nova.Profile { return t.profile }

// shows says whether the request may see a row: the deleted ones only where its
// context asks for them.
func (t *Tx) shows(row *nova.Object) bool {
	switch {
	case t.deleted || t.rc["read_deleted"] == "yes":
		return true
	case t.rc["read_deleted"] == "only":
		return row.Bool("deleted")
	}
	return !row.Bool("deleted")
}
