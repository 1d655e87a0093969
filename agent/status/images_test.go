package status

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// sampleCache holds one image and fetches another. Reading it is told in two lines, and goes on until the client is
// gone where it is endless.
type sampleCache struct {
	endless bool
	ended   chan struct{} // closed when an endless reading ended
}

var (
	sampleImage = CachedImage{
		Name: "b602d594", Image: "image-1", Format: "raw", VirtualSize: 1 << 30, Allocated: 1 << 20, LastUse: time.Unix(1, 0).UTC(),
		Fetched: time.Unix(1, 0).UTC(), Verified: true, Users: 2, Builds: 1,
	}
	sampleNovas = CachedImage{Name: "swap_64", LastUse: time.Unix(1, 0).UTC()}
)

func (sampleCache) ListImages(context.Context) (ImageList, error) {
	return ImageList{
		Images: []CachedImage{sampleImage, sampleNovas}, Bytes: 1 << 20, Limit: 1 << 40,
		Work: []ImageWork{{Image: "image-2", Phase: "downloading", Started: time.Unix(1, 0).UTC(), Done: 1, Total: 2, Rate: 1, SecondsLeft: 1, Waiters: 50}},
	}, nil
}

func (c sampleCache) VerifyImages(ctx context.Context, name string, tell func(ImageCheck)) error {
	if name == "nowhere" {
		return errors.New("the image cache holds no nowhere")
	}
	for c.endless && ctx.Err() == nil {
		tell(ImageCheck{Name: "b602d594"})
	}
	if c.endless {
		close(c.ended)
		return ctx.Err()
	}
	tell(ImageCheck{Name: "b602d594", Image: "image-1", Done: 1, Total: 2})
	tell(ImageCheck{Name: "b602d594", Image: "image-1", Done: 2, Total: 2, Result: ImageDamaged})
	return nil
}

func (sampleCache) PruneImages(_ context.Context, r PruneRequest) (PruneResult, error) {
	switch {
	case r.All:
		return PruneResult{}, errors.New("conductor does not answer")
	case r.DryRun:
		return PruneResult{Removed: []CachedImage{sampleNovas}, Kept: 1}, nil
	}
	return PruneResult{Kept: 2}, nil
}

func TestVerificationIsAsDescribed(t *testing.T) {
	schema := loadOpenAPI(t).Components.Schemas["ImageCheck"].Value
	c, _ := serve(t, Options{Images: sampleCache{}})
	body, err := c.Open(t.Context(), http.MethodPost, "/v1/images/verify", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var results []string
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		matches(t, schema, lines.Bytes())
		var check ImageCheck
		if err := json.Unmarshal(lines.Bytes(), &check); err != nil {
			t.Fatal(err)
		}
		results = append(results, check.Result)
	}
	if want := []string{"", ImageDamaged}; lines.Err() != nil || !slices.Equal(results, want) {
		t.Errorf("results %q, want %q (%v)", results, want, lines.Err())
	}
}

// TestVerificationEndsWithTheClient also shows that a client may listen for longer than a request may take.
func TestVerificationEndsWithTheClient(t *testing.T) {
	cache := sampleCache{endless: true, ended: make(chan struct{})}
	c, _ := serve(t, Options{Images: cache, RequestTimeout: 200 * time.Millisecond})
	body, err := c.Open(t.Context(), http.MethodPost, "/v1/images/verify", strings.NewReader(`{"name": "b602d594"}`))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(body)
	for began := time.Now(); time.Since(began) < time.Second; {
		if !lines.Scan() {
			t.Fatalf("ended early: %v", lines.Err())
		}
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-cache.ended:
	case <-time.After(30 * time.Second):
		t.Error("the reading goes on")
	}
}

func TestNodeWithoutImages(t *testing.T) {
	c, _ := serve(t, Options{})
	for _, r := range []struct{ method, path string }{
		{"GET", "/v1/images"}, {"POST", "/v1/images/verify"}, {"POST", "/v1/images/prune"},
	} {
		_, err := c.Open(t.Context(), r.method, r.path, nil)
		var refused *APIError
		if !errors.As(err, &refused) || refused.Status != http.StatusNotImplemented {
			t.Errorf("%s %s: %v", r.method, r.path, err)
		}
	}
}
