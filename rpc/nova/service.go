package nova

import "time"

// BinaryCompute is the binary name a compute service registers under.
const BinaryCompute = "nova-compute"

// Service is a view of the service record that the heartbeat keeps alive.
type Service struct{ *Object }

func (s Service) ID() int64              { return s.Int("id") }
func (s Service) UUID() string           { return s.Str("uuid") }
func (s Service) Host() string           { return s.Str("host") }
func (s Service) Binary() string         { return s.Str("binary") }
func (s Service) Topic() string          { return s.Str("topic") }
func (s Service) ReportCount() int64     { return s.Int("report_count") }
func (s Service) Disabled() bool         { return s.Bool("disabled") }
func (s Service) DisabledReason() string { return s.Str("disabled_reason") }
func (s Service) ForcedDown() bool       { return s.Bool("forced_down") }
func (s Service) LastSeenUp() time.Time  { return s.Time("last_seen_up") }

// ServiceVersion is the release number the service reports, for example 64 for Zed.
func (s Service) ServiceVersion() int { return int(s.Int("version")) }

// SetServiceVersion changes the reported release number.
func (s Service) SetServiceVersion(v int) { s.Set("version", v) }

// Beat counts one heartbeat. Conductor stamps last_seen_up only if the count grew.
func (s Service) Beat() { s.Set("report_count", s.ReportCount()+1) }
