package network

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// unfiltered are query parameters that select no records.
var unfiltered = []string{"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"}

// matches: the values of one name are alternatives, all names must match.
func (r record) matches(query url.Values) bool {
	for name, wanted := range query {
		if !slices.Contains(unfiltered, name) && !slices.ContainsFunc(wanted, func(w string) bool { return r.has(name, w) }) {
			return false
		}
	}
	return true
}

// has compares as Neutron does: truth values in any case, and fixed_ips by
// "ip_address=…" or "subnet_id=…".
func (r record) has(name, wanted string) bool {
	switch value := r[name].(type) {
	case bool:
		return strings.EqualFold(fmt.Sprint(value), wanted) || value && wanted == "1"
	case nil:
		return wanted == ""
	case []any:
		field, of, _ := strings.Cut(wanted, "=")
		return slices.ContainsFunc(value, func(item any) bool {
			m, _ := item.(map[string]any)
			return m[field] == of || item == wanted
		})
	default:
		return fmt.Sprint(value) == wanted
	}
}
