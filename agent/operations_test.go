package agent

import (
	"slices"
	"testing"
)

func TestOperationsAreMethodsOfTheInterface(t *testing.T) {
	seen := map[string]bool{}
	for _, make := range operations {
		method := make(nil).method
		if !slices.Contains(computeMethods, method) {
			t.Errorf("%s is no method of the compute RPC API", method)
		}
		if seen[method] {
			t.Errorf("%s is served twice", method)
		}
		seen[method] = true
	}
}
