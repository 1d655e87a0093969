package nova

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// formatPercent fills a Python %-template. Plain conversions take the single
// value, named ones such as %(uuid)s take from named. It reports false when a
// conversion has no value, a value of the wrong kind, or is not known.
func formatPercent(template string, single any, named map[string]any) (string, bool) {
	var b strings.Builder
	used := false
	for rest := template; rest != ""; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		c, after, ok := parseConversion(rest[i+1:])
		if !ok {
			return "", false
		}
		rest = after
		if c.verb == '%' {
			b.WriteByte('%')
			continue
		}
		v, have := single, single != nil && !used
		if c.key != "" {
			v, have = named[c.key]
		} else {
			used = true
		}
		s, ok := c.format(v)
		if !have || !ok {
			return "", false
		}
		b.WriteString(s)
	}
	return b.String(), true
}

// conversion is one %(key)flags-verb of a template.
type conversion struct {
	key   string
	flags string // flags, width and precision, the same in Python and Go
	verb  byte
}

var conversionForm = regexp.MustCompile(`^(?:\(([^)]*)\))?([-+ #0]{0,5}\d{0,3}(?:\.\d{0,3})?)([a-zA-Z%])`)

// parseConversion reads what follows a percent sign.
func parseConversion(s string) (c conversion, rest string, ok bool) {
	m := conversionForm.FindStringSubmatch(s)
	if m == nil {
		return c, "", false
	}
	return conversion{key: m[1], flags: m[2], verb: m[3][0]}, s[len(m[0]):], true
}

func (c conversion) format(v any) (string, bool) {
	switch c.verb {
	case 's', 'r':
		return fmt.Sprintf("%"+c.flags+"s", pyString(v)), true
	case 'd', 'i', 'x', 'X', 'o':
		n, ok := pyInt(v)
		if !ok {
			return "", false
		}
		verb := c.verb
		if verb == 'i' {
			verb = 'd'
		}
		return fmt.Sprintf("%"+c.flags+string(verb), n), true
	}
	return "", false
}

// pyString writes a value as Python's str() does for the kinds that occur.
func pyString(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = "'" + s + "'"
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case map[string]any, []any:
		if raw, err := json.Marshal(v); err == nil {
			return string(raw)
		}
	}
	return fmt.Sprint(v)
}

func pyInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return n, err == nil
	}
	return 0, false
}
