package format

import (
	"fmt"
	"strings"
)

// MaxVirtualSize is the largest disk accepted, 8 PiB: far above what any host stores, far below where the
// arithmetic of a reader overflows.
const MaxVirtualSize = 1 << 53

// ErrUnsafe says why an image must not be opened by any tool.
type ErrUnsafe struct {
	Format  Format
	Reasons []string // short clauses, at least one
}

func (e *ErrUnsafe) Error() string {
	return fmt.Sprintf("unsafe %s: %s", e.Format, strings.Join(e.Reasons, "; "))
}

// Safe returns nil when an image from a stranger may be handed to a tool that is told its format, and an *ErrUnsafe
// naming every reason when not: a reference to any other file, encryption, internal snapshots, an impossible size,
// a format that is not accepted, or what the format's own parser objected to.
func Safe(info Info) error {
	var reasons []string
	for _, ref := range info.References {
		reasons = append(reasons, fmt.Sprintf("it has a %s: %q", ref.Kind, ref.Path))
	}
	if info.Encrypted {
		reasons = append(reasons, "it is encrypted")
	}
	if info.Snapshots > 0 {
		reasons = append(reasons, fmt.Sprintf("it holds %d internal snapshots", info.Snapshots))
	}
	if info.VirtualSize < 0 || info.VirtualSize > MaxVirtualSize {
		reasons = append(reasons, fmt.Sprintf("its virtual size is impossible: %d bytes", info.VirtualSize))
	}
	reasons = append(reasons, info.Faults...)
	if len(reasons) > 0 {
		return &ErrUnsafe{Format: info.Format, Reasons: reasons}
	}
	return nil
}
