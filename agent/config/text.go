package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// python is the option's value as Python's str() shows it, which is what
// oslo.config puts in place of a reference.
func (o *option) python() string {
	switch v := o.field.Interface().(type) {
	case bool:
		if v {
			return "True"
		}
		return "False"
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = "'" + s + "'"
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case float64:
		return pythonFloat(v)
	case *float64:
		if v == nil {
			return ""
		}
		return pythonFloat(*v)
	case map[string]string:
		parts := make([]string, 0, len(v))
		for _, k := range sortedKeys(v) {
			parts = append(parts, fmt.Sprintf("'%s': '%s'", k, v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return o.text()
}

func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// text is the option's value as it would stand in a file; several lines for a
// repeated option.
func (o *option) text() string {
	switch v := o.field.Interface().(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case *int:
		if v != nil {
			return strconv.Itoa(*v)
		}
	case *float64:
		if v != nil {
			return strconv.FormatFloat(*v, 'g', -1, 64)
		}
	case time.Duration:
		return o.durationText(v)
	case []string:
		if o.multi() {
			return strings.Join(v, "\n")
		}
		return strings.Join(v, ",")
	case map[string]string:
		return dictText(v)
	case []map[string]string:
		lines := make([]string, len(v))
		for i, d := range v {
			lines[i] = dictText(d)
		}
		return strings.Join(lines, "\n")
	}
	return ""
}

func (o *option) durationText(d time.Duration) string {
	if d == 0 && (!o.hasDef || o.def == "") {
		return "" // no value and zero are the same for such an option
	}
	unit := time.Second
	if o.tag.Get("unit") == "ms" {
		unit = time.Millisecond
	}
	if o.tag.Get("kind") == "float" {
		return pythonFloat(float64(d) / float64(unit))
	}
	return strconv.FormatInt(int64(d/unit), 10)
}

func dictText(d map[string]string) string {
	parts := make([]string, 0, len(d))
	for _, k := range sortedKeys(d) {
		parts = append(parts, k+":"+d[k])
	}
	return strings.Join(parts, ",")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
