package notice

import (
	"testing"
	"time"
)

func TestLastPeriod(t *testing.T) {
	const layout = "2006-01-02 15:04"
	for _, c := range []struct{ unit, now, begin, end string }{
		{"hour", "2026-11-21 20:15", "2026-11-21 19:00", "2026-11-21 20:00"},
		{"hour@30", "2026-11-21 20:15", "2026-11-21 18:30", "2026-11-21 19:30"},
		{"hour", "2026-11-21 20:00", "2026-11-21 18:00", "2026-11-21 19:00"}, // the hour ends when it is over
		{"day", "2026-11-21 20:15", "2026-11-20 00:00", "2026-11-21 00:00"},
		{"day@18", "2026-11-21 17:00", "2026-11-19 18:00", "2026-11-20 18:00"},
		{"month", "2026-01-21 20:15", "2025-12-01 00:00", "2026-01-01 00:00"},
		{"month@15", "2026-01-10 20:15", "2025-11-15 00:00", "2025-12-15 00:00"},
		{"month@15", "2026-03-16 00:00", "2026-02-15 00:00", "2026-03-15 00:00"},
		{"year", "2026-11-21 20:15", "2025-01-01 00:00", "2026-01-01 00:00"},
		{"year@3", "2026-02-21 20:15", "2024-03-01 00:00", "2025-03-01 00:00"},
		{"year@3", "2026-03-21 20:15", "2025-03-01 00:00", "2026-03-01 00:00"},
	} {
		now, err := time.Parse(layout, c.now)
		if err != nil {
			t.Fatal(err)
		}
		p, err := LastPeriod(c.unit, now)
		if err != nil || p.Begin.Format(layout) != c.begin || p.End.Format(layout) != c.end {
			t.Errorf("%s at %s: %s to %s, %v", c.unit, c.now, p.Begin.Format(layout), p.End.Format(layout), err)
		}
		if current, err := Since(c.unit, now); err != nil || !current.Begin.Equal(p.End) || !current.End.Equal(now) {
			t.Errorf("%s at %s: now runs %v, %v", c.unit, c.now, current, err)
		}
	}
	for _, unit := range []string{"", "week", "day@x", "day@24", "hour@-1", "month@29", "year@13"} {
		if p, err := LastPeriod(unit, time.Now()); err == nil {
			t.Errorf("%q is a period: %v", unit, p)
		}
	}
}
