package agent

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc/nova"
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

// TestRefusals: each is one that Nova's API has an answer for.
func TestRefusals(t *testing.T) {
	for method, class := range map[string]string{"reserve_block_device_name": "InvalidVolume", "swap_volume": "NotImplementedError"} {
		if err := refusal(method); nova.ClassOf(err) != class || !strings.Contains(err.Error(), "not supported by this compute service") {
			t.Errorf("%s: %v, want %s", method, err, class)
		}
	}
}

// TestOperationsAreDocumented: the tables of docs/operations.md have every method that the node serves, served or
// refused as they say, and no other.
func TestOperationsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	method := regexp.MustCompile("`([a-z_]+)`")
	documented := map[string]bool{} // whether it is in the table of refused ones
	refusing, table := false, false
	for line := range strings.Lines(string(text)) {
		switch first, _, row := strings.Cut(strings.TrimPrefix(line, "| "), " | "); {
		case strings.HasPrefix(line, "## "):
			refusing = strings.HasPrefix(line, "## What is refused")
		case !row:
			table = table && strings.HasPrefix(line, "|---")
		case first == "RPC method":
			table = true
		case table:
			for _, m := range method.FindAllStringSubmatch(first, -1) {
				documented[m[1]] = refusing
			}
		}
	}
	served := map[string]bool{}
	for _, m := range computeMethods {
		served[m] = !slices.ContainsFunc(operations, func(make func(*Agent) operation) bool { return make(nil).method == m })
	}
	delete(documented, "recreate") // an argument of rebuild_instance
	if d := cmp.Diff(served, documented); d != "" {
		t.Errorf("whether a method is refused (-served +documented):\n%s", d)
	}
}
