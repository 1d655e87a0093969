package agent

import (
	"fmt"
	"strconv"
	"strings"

	"bolide/agent/config"
)

// reservedPages are huge pages that guests do not get: how many, by memory cell and by size in KiB.
type reservedPages map[int]map[int]int64

// readReservedPages reads reserved_huge_pages, one "node:N,size:S,count:C" each. The size is in KiB, or has a unit.
func readReservedPages(c *config.Config) (reservedPages, error) {
	out := reservedPages{}
	for _, entry := range c.Default.ReservedHugePages {
		node, err := strconv.Atoi(entry["node"])
		if err != nil {
			return nil, fmt.Errorf("[DEFAULT] reserved_huge_pages: node %q is no number", entry["node"])
		}
		size, err := pageSize(entry["size"])
		if err != nil {
			return nil, fmt.Errorf("[DEFAULT] reserved_huge_pages: %w", err)
		}
		count, err := strconv.ParseInt(entry["count"], 10, 64)
		if err != nil || count < 0 {
			return nil, fmt.Errorf("[DEFAULT] reserved_huge_pages: count %q is no number of pages", entry["count"])
		}
		if out[node] == nil {
			out[node] = map[int]int64{}
		}
		out[node][size] = count
	}
	return out, nil
}

// pageSize is in KiB: 2048, 2MB, 1GB or 2MiB.
func pageSize(text string) (int, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("size %q is no size of pages", text)
	}
	switch unit := strings.TrimSuffix(strings.TrimSuffix(text[len(digits):], "B"), "i"); unit {
	case "", "K":
		return n, nil
	case "M":
		return n << 10, nil
	case "G":
		return n << 20, nil
	}
	return 0, fmt.Errorf("size %q has an unknown unit", text)
}
