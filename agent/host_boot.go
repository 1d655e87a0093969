package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// bootMemory, below state_path, remembers during which life of the host this service last ran.
const bootMemory = "bolide/boot_id"

// bootIDFile is the kernel's name for the host's present life.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// Why guests that ran are off when this service starts.
const (
	causeHost    = "host"    // it went down and came up again
	causeGuest   = "guest"   // the guest went off while this service was away
	causeUnknown = "unknown" // this service never ran here before
)

// causeOfAbsence tells whether the host has restarted since this service last ran on it, and remembers its present
// life.
func causeOfAbsence(statePath, bootIDFile string) (cause string, err error) {
	now, err := os.ReadFile(bootIDFile)
	if err != nil {
		return causeUnknown, err
	}
	path := filepath.Join(statePath, bootMemory)
	before, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		cause = causeUnknown
	case err != nil:
		return causeUnknown, err
	case strings.TrimSpace(string(before)) == strings.TrimSpace(string(now)):
		return causeGuest, nil
	default:
		cause = causeHost
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return cause, err
	}
	return cause, renameio.WriteFile(path, now, 0o644)
}
