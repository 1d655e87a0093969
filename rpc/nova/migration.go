package nova

// MigrationType is the kind of a move.
type MigrationType string

// The kinds of moves.
const (
	MigrationCold       MigrationType = "migration"
	MigrationResize     MigrationType = "resize"
	MigrationLive       MigrationType = "live-migration"
	MigrationEvacuation MigrationType = "evacuation"
)

// MigrationStatus is how far a move has come.
type MigrationStatus string

// The states of a move. Which of them follow each other depends on its type.
const (
	MigrationAccepted      MigrationStatus = "accepted"
	MigrationQueued        MigrationStatus = "queued"
	MigrationPreparing     MigrationStatus = "preparing"
	MigrationPreMigrating  MigrationStatus = "pre-migrating"
	MigrationMigrating     MigrationStatus = "migrating"
	MigrationRunning       MigrationStatus = "running"
	MigrationPostCopy      MigrationStatus = "running (post-copy)"
	MigrationPostMigrating MigrationStatus = "post-migrating"
	MigrationFinished      MigrationStatus = "finished"
	MigrationConfirming    MigrationStatus = "confirming"
	MigrationConfirmed     MigrationStatus = "confirmed"
	MigrationReverting     MigrationStatus = "reverting"
	MigrationReverted      MigrationStatus = "reverted"
	MigrationDone          MigrationStatus = "done"
	MigrationCompleted     MigrationStatus = "completed"
	MigrationCancelled     MigrationStatus = "cancelled"
	MigrationFailed        MigrationStatus = "failed"
	MigrationError         MigrationStatus = "error"
)

// Migration is a view of the record of one move.
type Migration struct{ *Object }

func (m Migration) ID() int64                   { return m.Int("id") }
func (m Migration) UUID() string                { return m.Str("uuid") }
func (m Migration) InstanceUUID() string        { return m.Str("instance_uuid") }
func (m Migration) SourceCompute() string       { return m.Str("source_compute") }
func (m Migration) SourceNode() string          { return m.Str("source_node") }
func (m Migration) DestCompute() string         { return m.Str("dest_compute") }
func (m Migration) DestNode() string            { return m.Str("dest_node") }
func (m Migration) DestHost() string            { return m.Str("dest_host") } // an address
func (m Migration) OldInstanceTypeID() int64    { return m.Int("old_instance_type_id") }
func (m Migration) NewInstanceTypeID() int64    { return m.Int("new_instance_type_id") }
func (m Migration) Status() MigrationStatus     { return MigrationStatus(m.Str("status")) }
func (m Migration) Type() MigrationType         { return MigrationType(m.Str("migration_type")) }
func (m Migration) CrossCellMove() bool         { return m.Bool("cross_cell_move") }
func (m Migration) SetStatus(s MigrationStatus) { m.Set("status", string(s)) }
func (m Migration) SetDestCompute(host string)  { m.Set("dest_compute", nullable(host)) }
func (m Migration) SetDestNode(node string)     { m.Set("dest_node", nullable(node)) }
func (m Migration) SetDestHost(addr string)     { m.Set("dest_host", nullable(addr)) }

// IsLive, IsResize (resize or cold migration) and IsEvacuation tell the kinds apart.
func (m Migration) IsLive() bool       { return m.Type() == MigrationLive }
func (m Migration) IsEvacuation() bool { return m.Type() == MigrationEvacuation }
func (m Migration) IsResize() bool {
	return m.Type() == MigrationResize || m.Type() == MigrationCold
}

// MigrationContext is a view of what an instance holds on both hosts during a move.
type MigrationContext struct{ *Object }

func (c MigrationContext) MigrationID() int64 { return c.Int("migration_id") }
func (c MigrationContext) NewNUMATopology() InstanceNUMATopology {
	return InstanceNUMATopology{c.Obj("new_numa_topology")}
}
func (c MigrationContext) OldNUMATopology() InstanceNUMATopology {
	return InstanceNUMATopology{c.Obj("old_numa_topology")}
}
