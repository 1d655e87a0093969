package guest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bolide/rpc/nova"
)

// FormatCPUs writes a set of CPU numbers as libvirt reads it: "0-3,8".
func FormatCPUs(cpus []int) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(cpus)))
	var parts []string
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		part := strconv.Itoa(sorted[i])
		if j > i {
			part += "-" + strconv.Itoa(sorted[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// maxCPU bounds what a set may name, so that a range cannot fill the memory.
const maxCPU = 65535

// ParseCPUs reads a set as Nova's options and extra specs write it: "0-3,^2,8", where ^ takes out.
func ParseCPUs(text string) ([]int, error) {
	in, out := map[int]bool{}, map[int]bool{}
	for rule := range strings.SplitSeq(text, ",") {
		rule = strings.TrimSpace(rule)
		if rule == "" {
			continue
		}
		to := in
		spec, except := strings.CutPrefix(rule, "^")
		if except {
			to = out
		}
		first, last, isRange := strings.Cut(spec, "-")
		from, err := strconv.Atoi(strings.TrimSpace(first))
		until := from
		if err == nil && isRange {
			until, err = strconv.Atoi(strings.TrimSpace(last))
		}
		if err != nil || from < 0 || until < from || until > maxCPU {
			return nil, nova.NewErrorText("Invalid", fmt.Sprintf("Invalid CPU expression %q", rule))
		}
		for cpu := from; cpu <= until; cpu++ {
			to[cpu] = true
		}
	}
	var cpus []int
	for cpu := range in {
		if !out[cpu] {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return cpus, nil
}
