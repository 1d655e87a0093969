package resources

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/rpc/nova"
)

// Tracker knows what is claimed of the host and keeps the control plane told.
type Tracker struct {
	opts     Options
	log      *logrus.Entry
	provider *provider

	// saving lets one writer at a time tell the control plane; its turn is held across I/O and never with mu.
	saving *rounds

	mu           sync.Mutex
	node         *nova.ComputeNode // nil before the first Update
	figures      Figures
	held         map[string]holding // by instance
	moves        map[string]holding // by instance: what a move in progress holds beside held
	migrations   map[string]bool    // uuids of the moves in progress: their allocations are theirs
	failedBuilds int
	told         time.Time         // when the control plane last took the figures
	clock        uint64            // counts changes of held and moves, to tell a fresh claim from a stale reading
	touched      map[string]uint64 // by instance: the clock at its last change
}

// New returns a tracker that knows nothing before its first [Tracker.Update].
func New(o Options, log *logrus.Entry) *Tracker {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Tracker{
		opts: o, log: log, saving: newRounds(),
		provider:   &provider{client: o.Placement, refresh: o.Refresh, now: o.Now, log: log},
		held:       map[string]holding{},
		moves:      map[string]holding{},
		migrations: map[string]bool{},
		touched:    map[string]uint64{},
	}
}

// Update measures the host, reads which instances and moves the records place on it, and tells the control plane
// what has changed. It creates the ComputeNode record and the provider when they are missing. Claims made while
// it reads are kept.
func (t *Tracker) Update(ctx context.Context, cond *nova.Conductor) error {
	figures, err := t.opts.Probe.Figures(ctx)
	if err != nil {
		return fmt.Errorf("measure the host: %w", err)
	}
	if err := t.ensureNode(ctx, cond, figures); err != nil {
		return err
	}
	t.mu.Lock()
	asOf := t.clock
	t.mu.Unlock()

	instances, err := cond.InstancesByHostAndNode(ctx, t.opts.Host, figures.Hostname,
		"system_metadata", "numa_topology", "flavor", "migration_context", "resources")
	if err != nil {
		return fmt.Errorf("list the instances of this host: %w", err)
	}
	migrations, err := cond.MigrationsInProgressAndError(ctx, t.opts.Host, figures.Hostname)
	if err != nil {
		return fmt.Errorf("list the migrations of this host: %w", err)
	}
	moves := t.readMoves(ctx, cond, instances, migrations)

	t.mu.Lock()
	t.figures = figures
	t.adopt(instances, moves, asOf)
	clear(t.migrations)
	for _, m := range migrations {
		t.migrations[m.Str("uuid")] = true
	}
	t.mu.Unlock()
	return t.tell(ctx, cond)
}

// adopt replaces what is known by what the records say, but for the instances that operations have changed after asOf,
// of which the records may not tell yet.
func (t *Tracker) adopt(instances []*nova.Instance, moves map[string]holding, asOf uint64) {
	held := map[string]holding{}
	for _, i := range instances {
		if !takesNothing(string(i.VMState()), string(i.TaskState())) {
			held[i.UUID()] = t.holdingOf(i)
		}
	}
	for id, when := range t.touched {
		if when <= asOf {
			delete(t.touched, id)
			continue
		}
		keep(held, t.held, id)
		keep(moves, t.moves, id)
	}
	t.held, t.moves = held, moves
}

// keep makes fresh hold of the instance what known does.
func keep(fresh, known map[string]holding, id string) {
	delete(fresh, id)
	if h, ok := known[id]; ok {
		fresh[id] = h
	}
}

// Claim is what an operation holds of the host until the instance's record tells of it.
type Claim struct {
	tracker  *Tracker
	instance string
	NUMA     *nova.Object // the instance's NUMA topology fitted to this host; nil: none
}

// Claim holds what the instance's flavor takes and tells the control plane. It refuses with Nova's
// ComputeResourcesUnavailable when the host cannot place the instance's NUMA topology; how much memory, disk and
// CPU may be promised is Placement's to say.
func (t *Tracker) Claim(ctx context.Context, inst *nova.Instance, limits *NUMALimits) (*Claim, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node == nil {
		return nil, nova.NewError("ComputeResourcesUnavailable", map[string]any{"reason": "this host has not been measured yet"})
	}
	h := t.holdingOf(inst)
	var err error
	if h.NUMA, err = t.fitLocked(numaOf(inst), limits); err != nil {
		return nil, err
	}
	t.holdLocked(h)
	return &Claim{tracker: t, instance: inst.UUID(), NUMA: h.NUMA}, nil
}

// Abort gives back what the claim holds. It may be repeated.
func (c *Claim) Abort() { c.tracker.Forget(c.instance) }

func (t *Tracker) holdLocked(h holding) {
	t.touchLocked(h.Instance)
	t.held[h.Instance] = h
}

func (t *Tracker) touchLocked(instance string) {
	t.clock++
	t.touched[instance] = t.clock
}

// Note takes over the instance's states, or forgets the instance when it takes nothing any more. Instances that
// never claimed are left alone.
func (t *Tracker) Note(inst *nova.Instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.held[inst.UUID()]; !ok {
		return
	}
	if takesNothing(string(inst.VMState()), string(inst.TaskState())) {
		t.forgetLocked(inst.UUID())
		return
	}
	t.holdLocked(t.holdingOf(inst))
}

// Forget gives back what the instance and a move of it hold.
func (t *Tracker) Forget(instance string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetLocked(instance)
	delete(t.moves, instance)
}

func (t *Tracker) forgetLocked(instance string) {
	t.touchLocked(instance)
	delete(t.held, instance)
}

// BuildFailed and BuildSucceeded keep the count of failed builds in a row, by which the scheduler avoids a host
// that keeps failing.
func (t *Tracker) BuildFailed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failedBuilds++
}

// BuildSucceeded ends a row of failed builds.
func (t *Tracker) BuildSucceeded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failedBuilds = 0
}

// NodeName is the hypervisor's name for itself; "" before the first Update.
func (t *Tracker) NodeName() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.figures.Hostname
}

// NodeUUID is the ComputeNode's and the provider's; "" before the first Update.
func (t *Tracker) NodeUUID() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node == nil {
		return ""
	}
	return t.node.Str("uuid")
}

// NodeID is the ComputeNode's in the database; 0 before the first Update.
func (t *Tracker) NodeID() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node == nil {
		return 0
	}
	return t.node.Int("id")
}

// Amount is what the host has of one resource, in the unit of its field.
type Amount struct {
	Total, Reserved, Claimed int64
	Ratio                    float64
}

// Capacity is what the host has and what is claimed of it.
type Capacity struct {
	VCPUs, MemoryMB, DiskGB Amount
	Told                    time.Time // when the control plane last took it; zero: not yet
}

// Capacity returns what the host has and what is claimed of it.
func (t *Tracker) Capacity() Capacity {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := sum(append(inOrder(t.held), inOrder(t.moves)...), t.failedBuilds)
	c := Capacity{
		VCPUs:    Amount{Total: t.figures.VCPUs, Reserved: t.opts.ReservedCPUs, Claimed: u.VCPUs},
		MemoryMB: Amount{Total: t.figures.MemoryMB, Reserved: t.opts.ReservedMemoryMB, Claimed: u.MemoryMB},
		DiskGB:   Amount{Total: t.figures.LocalGB, Reserved: t.opts.ReservedDiskMB / 1024, Claimed: u.DiskGB},
		Told:     t.told,
	}
	if t.node != nil {
		c.VCPUs.Ratio, c.MemoryMB.Ratio, c.DiskGB.Ratio = t.node.CPUAllocationRatio(), t.node.RAMAllocationRatio(), t.node.DiskAllocationRatio()
	}
	return c
}

// Held is one instance that takes resources here, with the states it was last known in.
type Held struct {
	Instance, Name, VMState, TaskState string
	VCPUs, MemoryMB, DiskGB            int64
}

// Instances returns what takes resources here, in the order of their UUIDs.
func (t *Tracker) Instances() []Held {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Held, 0, len(t.held))
	for _, h := range inOrder(t.held) {
		out = append(out, Held{
			Instance: h.Instance, Name: h.Name, VMState: h.VMState, TaskState: h.TaskState,
			VCPUs: h.VCPUs, MemoryMB: h.MemoryMB, DiskGB: h.RootGB + h.EphemeralGB,
		})
	}
	return out
}

// holdingOf is what an instance on this host takes.
func (t *Tracker) holdingOf(i *nova.Instance) holding {
	h := holdingOf(i)
	h.Name = i.Name(t.opts.NameTemplate)
	return h
}

// usageLocked adds up everything held and what is reserved for the host itself.
func (t *Tracker) usageLocked() usage {
	u := sum(append(inOrder(t.held), inOrder(t.moves)...), t.failedBuilds)
	u.MemoryMB += t.opts.ReservedMemoryMB
	u.VCPUs += t.opts.ReservedCPUs
	return u
}
