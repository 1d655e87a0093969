package agent

import (
	"fmt"
	"os"
	"testing"

	"bolide/test/enclave"
)

// TestMain takes the tests to a network of their own, where they make taps and bridges.
func TestMain(m *testing.M) {
	if err := enclave.OwnNetwork(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
