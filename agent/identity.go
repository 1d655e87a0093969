package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// identityFile, below state_path, remembers under which names this host is known to the control plane.
const identityFile = "bolide-identity.json"

// productUUID is where the firmware's number of the machine is told, where there is firmware.
const productUUID = "/sys/class/dmi/id/product_uuid"

// hostIdentity is the pair of names that the records of this host's guests are filed under, and the machine.
type hostIdentity struct {
	Host    string `json:"host"`              // the compute service's
	Node    string `json:"node"`              // the hypervisor's
	Machine string `json:"machine,omitempty"` // the firmware's number of it; "" is not known
}

// guardIdentity refuses to start under other names than last time: a renamed host would make a second node in
// the control plane and leave the guests of the first one to nobody. It refuses as well on another machine, which has
// a copy of the first one's disk and none of its guests. On the first start it remembers all three.
func guardIdentity(statePath string, now hostIdentity) error {
	path := filepath.Join(statePath, identityFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return rememberIdentity(path, now)
	}
	if err != nil {
		return fmt.Errorf("read this host's identity: %w", err)
	}
	var before hostIdentity
	if err := json.Unmarshal(raw, &before); err != nil {
		return fmt.Errorf("read this host's identity from %s: %w", path, err)
	}
	if before.Host != now.Host || before.Node != now.Node {
		return fmt.Errorf("this host was %q (hypervisor %q) and is now %q (hypervisor %q): set [DEFAULT] host back, or remove %s if its guests are gone",
			before.Host, before.Node, now.Host, now.Node, path)
	}
	switch {
	case now.Machine == "" || before.Machine == now.Machine:
		return nil
	case before.Machine == "": // known since
		return rememberIdentity(path, now)
	}
	return fmt.Errorf("host %q was machine %s and is now machine %s: if the disk has moved here for good, and was not copied, remove %s",
		now.Host, before.Machine, now.Machine, path)
}

// machineNumber is the firmware's number of this machine; "" where it has none.
func machineNumber() string {
	raw, err := os.ReadFile(productUUID)
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(string(raw)))
}

func rememberIdentity(path string, id hostIdentity) error {
	raw, err := json.Marshal(id)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("remember this host's identity: %w", err)
	}
	if err := renameio.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("remember this host's identity: %w", err)
	}
	return nil
}
