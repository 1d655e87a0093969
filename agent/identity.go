package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// identityFile, below state_path, remembers under which names this host is known to the control plane.
const identityFile = "bolide-identity.json"

// hostIdentity is the pair of names that the records of this host's guests are filed under.
type hostIdentity struct {
	Host string `json:"host"` // the compute service's
	Node string `json:"node"` // the hypervisor's
}

// guardIdentity refuses to start under other names than last time: a renamed host would make a second node in
// the control plane and leave the guests of the first one to nobody. On the first start it remembers the names.
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
	if before != now {
		return fmt.Errorf("this host was %q (hypervisor %q) and is now %q (hypervisor %q): set [DEFAULT] host back, or remove %s if its guests are gone",
			before.Host, before.Node, now.Host, now.Node, path)
	}
	return nil
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
