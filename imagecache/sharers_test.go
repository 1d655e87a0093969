package imagecache

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestSharers(t *testing.T) {
	now := time.Unix(2_000_000_000, 0)
	for name, tc := range map[string]struct {
		before string
		want   []string
	}{
		"first":         {"", []string{"a"}},
		"damaged":       {`{"b": 19`, []string{"a"}},
		"not an object": {`["b"]`, []string{"a"}},
		"others":        {fmt.Sprintf(`{"b": %d.5, "old": %d.25, "a": 1}`, now.Unix()-3600, now.Unix()-25*3600), []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := newCache(t, dir)
			c.opts.Now = func() time.Time { return now }
			path := filepath.Join(dir, "compute_nodes")
			if tc.before != "" {
				if err := os.WriteFile(path, []byte(tc.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := c.Sharers(t.Context(), "a")
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var seen map[string]float64
			if err := json.Unmarshal(raw, &seen); err != nil || seen["a"] != float64(now.Unix()) {
				t.Errorf("file %s, %v", raw, err)
			}
		})
	}
}

// TestSharersAtOnce has many hosts tell at the same time; none may be lost.
func TestSharersAtOnce(t *testing.T) {
	dir := t.TempDir()
	c := newCache(t, dir)
	const hosts = 20
	var wg sync.WaitGroup
	for i := range hosts {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := c.Sharers(t.Context(), fmt.Sprint("host", i)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if got, err := c.Sharers(t.Context(), "host0"); err != nil || len(got) != hosts {
		t.Errorf("got %v, %v", got, err)
	}
}
