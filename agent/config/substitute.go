package config

import (
	"regexp"
	"strings"
)

// template matches what oslo.config's string templates match: "$$", "$name",
// "${name}", where a name may contain dots ("$section.option").
var template = regexp.MustCompile(`\$(?:(\$)|([_A-Za-z][._A-Za-z0-9]*)|\{([_A-Za-z][._A-Za-z0-9]*)\})`)

// substitute replaces the references in v by what look returns for them. "$$"
// and "\$" stand for a dollar; a dollar before anything else stands for itself.
// Names that look cannot resolve make an error that names them all.
func substitute(v string, look func(name string) (string, error)) (string, error) {
	if !strings.Contains(v, "$") {
		return v, nil
	}
	v = strings.ReplaceAll(v, `\$`, "$$")
	var first error
	out := template.ReplaceAllStringFunc(v, func(m string) string {
		name := strings.Trim(m, "${}")
		if name == "" {
			return "$"
		}
		val, err := look(name)
		if err != nil && first == nil {
			first = err
		}
		return val
	})
	return out, first
}
