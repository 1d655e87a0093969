package notice

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period is a time for which usage is told.
type Period struct{ Begin, End time.Time }

// LastPeriod is the audit period that ended last before now. The unit is one of instance_usage_audit_period: hour, day,
// month or year, which end at the begin of the next, or at an offset in it: "day@18" ends at 18:00 UTC, "month@15" on the
// 15th, "year@3" on the 1st of March, "hour@30" half past.
func LastPeriod(unit string, now time.Time) (Period, error) {
	unit, text, found := strings.Cut(unit, "@")
	offset := 0
	if found {
		var err error
		if offset, err = strconv.Atoi(text); err != nil {
			return Period{}, fmt.Errorf("offset %q of an audit period is no number", text)
		}
	}
	now = now.UTC()
	y, m, d := now.Date()
	var end time.Time
	var back func(time.Time) time.Time
	var highest int
	switch unit {
	case "hour":
		highest = 59
		end, back = time.Date(y, m, d, now.Hour(), offset, 0, 0, time.UTC), func(t time.Time) time.Time { return t.Add(-time.Hour) }
	case "day":
		highest = 23
		end, back = time.Date(y, m, d, offset, 0, 0, 0, time.UTC), func(t time.Time) time.Time { return t.AddDate(0, 0, -1) }
	case "month":
		highest = 28 // there are months without later days
		end, back = time.Date(y, m, max(offset, 1), 0, 0, 0, 0, time.UTC), func(t time.Time) time.Time { return t.AddDate(0, -1, 0) }
	case "year":
		highest = 12
		end, back = time.Date(y, time.Month(max(offset, 1)), 1, 0, 0, 0, 0, time.UTC), func(t time.Time) time.Time { return t.AddDate(-1, 0, 0) }
	default:
		return Period{}, fmt.Errorf("audit period %q is none of hour, day, month, year", unit)
	}
	if offset < 0 || offset > highest {
		return Period{}, fmt.Errorf("offset %d of an audit period of a %s is not from 0 to %d", offset, unit, highest)
	}
	if !end.Before(now) {
		end = back(end)
	}
	return Period{Begin: back(end), End: end}, nil
}

// Since is the audit period that runs now, so far.
func Since(unit string, now time.Time) (Period, error) {
	last, err := LastPeriod(unit, now)
	return Period{Begin: last.End, End: now}, err
}

// Usage are the period's fields of an unversioned payload, as Python prints times.
func (p Period) Usage() map[string]any {
	const layout = "2006-01-02 15:04:05.999999"
	return map[string]any{"audit_period_beginning": p.Begin.UTC().Format(layout), "audit_period_ending": p.End.UTC().Format(layout)}
}

// Versioned is the period's field of a versioned payload.
func (p Period) Versioned() map[string]any {
	const layout = "2006-01-02T15:04:05Z"
	return map[string]any{"audit_period": object("AuditPeriodPayload", map[string]any{
		"audit_period_beginning": p.Begin.UTC().Format(layout), "audit_period_ending": p.End.UTC().Format(layout),
	})}
}
