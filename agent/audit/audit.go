// Package audit compares what is told of a compute node's guests in five places: by Nova's records, the hypervisor, the
// instances' files, the host's links and Placement. It only compares: whoever has read the five gives them to it as a
// [View], and the answer is a list of differences, each with what would mend it.
//
// Two rules: what an operation is at work on is no difference, and nothing is offered for removal unless Nova says that
// its instance is deleted or has gone elsewhere. A guest that Nova never knew is shown and left alone.
//
// The package starts no goroutines, keeps nothing and asks nobody.
package audit

import (
	"cmp"
	"slices"
	"time"
)

// Kind says in which way two of the five differ.
type Kind string

// The kinds. Those of which some differences can be mended are in [Fixable].
const (
	UnknownGuest      Kind = "unknown-guest"      // the hypervisor has a guest that Nova never knew
	DeletedGuest      Kind = "deleted-guest"      // … whose instance is deleted
	GuestElsewhere    Kind = "guest-elsewhere"    // … whose instance is on another host
	MissingGuest      Kind = "missing-guest"      // an instance has no guest here
	PowerState        Kind = "power-state"        // the record's power state is not the guest's
	LeftFiles         Kind = "left-files"         // a directory of a deleted instance
	UnknownFiles      Kind = "unknown-files"      // a directory of an instance that Nova never knew
	MissingFiles      Kind = "missing-files"      // an instance has no directory here
	LeftTap           Kind = "left-tap"           // a tap of a port that no instance here has
	LeftAllocation    Kind = "left-allocation"    // Placement counts what is not here
	MissingAllocation Kind = "missing-allocation" // Placement does not count what is
	StuckTask         Kind = "stuck-task"         // a task that nobody is at work on
)

// Fixable are the kinds that can be mended, in the order in which that is best done.
var Fixable = []Kind{DeletedGuest, LeftFiles, LeftTap, LeftAllocation, PowerState}

// Difference is one thing that is not as it should be.
type Difference struct {
	Kind     Kind   `json:"kind"`
	Instance string `json:"instance,omitempty"` // UUID
	Object   string `json:"object,omitempty"`   // the domain, directory or link
	Text     string `json:"text"`
	// Mend is the command that mends it; where Fixable, one of Bolide's.
	Mend    string `json:"mend"`
	Fixable bool   `json:"fixable"`
	// Outcome is what came of mending it: "mended", or why not; "" if that was not asked for.
	Outcome string `json:"outcome,omitempty"`
}

// Mended is the outcome of what was mended.
const Mended = "mended"

// Report is the answer to an audit.
type Report struct {
	Host        string       `json:"host"`
	Guests      int          `json:"guests"` // that the hypervisor has
	Seconds     float64      `json:"seconds"`
	Differences []Difference `json:"differences"`
}

// View is what the five tell. UUIDs are lower case.
type View struct {
	Host      string
	Now       time.Time
	Instances map[string]Instance // that the records place on this host
	Others    map[string]Other    // other instances that something here belongs to, as far as Nova knows them
	Guests    []Guest
	Files     []string        // directories by their names, which begin with an instance's UUID
	Taps      []string        // that have the name of a port's
	Ports     map[string]bool // names of the taps that instances here have
	Consumers []string        // of this host's resources in Placement
	Moves     map[string]bool // migrations under way from or to here: they are consumers, too
	Moving    map[string]bool // the instances that they move
	Busy      map[string]bool // instances that an operation is at work on
}

// Instance is one of this host's.
type Instance struct {
	VMState, TaskState string
	Power              string // as recorded
	NoDisks            bool   // boots from a volume, or has no files for another reason
	Updated            time.Time
}

// Other is an instance that the records do not place here.
type Other struct {
	Host    string // "" is none; of a deleted one the last
	Deleted bool
}

// Guest is one of the hypervisor's.
type Guest struct{ UUID, Name, Power string }

// Compare returns all differences, ordered by instance and kind.
func Compare(v View) []Difference {
	var found []Difference
	for _, compare := range []func(View) []Difference{guests, instances, files, taps, allocations} {
		found = append(found, compare(v)...)
	}
	slices.SortStableFunc(found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object, b.Object))
	})
	return found
}

// atWork reports whether something is being done to the instance, so that the five may well differ for a while.
func (v View) atWork(uuid string) bool { return v.Busy[uuid] || v.Moving[uuid] }

// fix is the command that has Bolide mend a kind.
func fix(k Kind) string { return "bolide audit --fix " + string(k) }
