package imagecache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bolide/imagecache/disk"
)

const (
	sharersFile = "compute_nodes" // in the instances' directory; Nova's name and format
	sharersLock = "storage-registry-lock"

	// sharerAge is after how long a host that did not say so again no longer counts.
	sharerAge = 24 * time.Hour
)

// Sharers notes that the host uses the folder in which this cache lies, in the file that Nova's nodes keep for it, and
// returns all hosts that said so within the last day, in order. A file that cannot be read as such is begun anew.
func (c *Cache) Sharers(ctx context.Context, host string) ([]string, error) {
	unlock, err := c.lock(ctx, sharersLock)
	if err != nil {
		return nil, err
	}
	defer unlock()
	path := filepath.Join(filepath.Dir(c.opts.Dir), sharersFile)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	seen := map[string]float64{} // seconds since 1970, by host
	if err := json.Unmarshal(raw, &seen); err != nil && len(raw) > 0 {
		c.opts.Log.WithError(err).WithField("path", path).Warn("list of hosts that share the folder is damaged; beginning a new one")
		seen = map[string]float64{}
	}
	now := c.opts.Now()
	seen[host] = float64(now.UnixMicro()) / 1e6
	if raw, err = json.Marshal(seen); err != nil {
		return nil, err
	}
	if err := disk.WriteFile(path, raw); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	var hosts []string
	for h, at := range seen {
		if now.Sub(time.UnixMicro(int64(at*1e6))) < sharerAge {
			hosts = append(hosts, h)
		}
	}
	slices.Sort(hosts)
	return hosts, nil
}
