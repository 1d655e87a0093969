package faults

import (
	"fmt"
	"time"
)

// report prints a line on a fault: what became of it, and how long after its end
// (for one that takes something away, after its return) everything was as before.
func (g *ground) report(fault string, recovery time.Duration, outcome string) {
	fmt.Printf("fault: %-58s %8s  %s\n", fault, recovery.Round(10*time.Millisecond), outcome)
}
