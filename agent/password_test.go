package agent

import (
	"strings"
	"testing"
)

func TestNewPassword(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := newPassword(12)
		if len(p) != 12 || seen[p] {
			t.Fatalf("password %q, of %d so far", p, len(seen))
		}
		seen[p] = true
		for _, group := range passwordSymbols {
			if !strings.ContainsAny(p, group) {
				t.Errorf("%q has nothing of %q", p, group)
			}
		}
	}
	for _, n := range []int{0, 2, 40} {
		if p := newPassword(n); len(p) != n {
			t.Errorf("asked for %d symbols: %q", n, p)
		}
	}
}
