package config

import (
	_ "embed"
	"fmt"
	"reflect"
	"strings"
)

// Options that are in nova.conf for others, in nova.conf's own format: name =
// default. A section with the line "* =" is known as a whole, and one whose
// name ends in "*" stands for all that begin so.
var (
	//go:embed known/ignored.conf
	ignoredText string
	//go:embed known/elsewhere.conf
	elsewhereText string
)

// known is what is known of options that Config does not declare.
type known struct {
	defaults map[ref]string // by option, for references to them
	ignored  map[ref]bool   // nova-compute has it; setting it is worth a warning
	sections map[string]bool
}

func loadKnown() (*known, error) {
	k := &known{defaults: map[ref]string{}, ignored: map[ref]bool{}, sections: map[string]bool{}}
	for _, list := range []struct {
		text    string
		ignored bool
	}{{ignoredText, true}, {elsewhereText, false}} {
		as, err := parseINI(list.text)
		if err != nil {
			return nil, fmt.Errorf("list of known options: %w", err)
		}
		for _, a := range as {
			if a.name == "*" {
				k.sections[a.section] = true
				continue
			}
			r := ref{a.section, a.name}
			k.defaults[r] = a.value
			k.ignored[r] = list.ignored
		}
	}
	return k, nil
}

// warnings lists, once each and in the order of the files, the options set in
// files that have no effect here.
func (k *known) warnings(files []*file, declared []*option) []Warning {
	used := map[ref]bool{}
	open := map[string]bool{} // sections that auth_section sends to
	for _, o := range declared {
		used[o.ref] = true
		for _, old := range o.old {
			used[old] = true
		}
		open[o.section] = true
	}
	var ws []Warning
	seen := map[ref]bool{}
	for _, f := range files {
		for _, a := range f.order {
			r := ref{normalSection(a.section), a.name}
			if used[r] || k.whole(r.section) {
				continue
			}
			if !open[r.section] && !k.hasSection(r.section) {
				r.name = "*" // of an unknown section, say it once
			}
			if seen[r] {
				continue
			}
			seen[r] = true
			if w, ok := k.warn(r, a.value); ok {
				w.From = fmt.Sprintf("%s:%d", f.path, a.line)
				ws = append(ws, w)
			}
		}
	}
	return ws
}

func (k *known) warn(r ref, value string) (Warning, bool) {
	def, isKnown := k.defaults[r]
	switch {
	case isKnown && (!k.ignored[r] || sameText(value, def)):
		return Warning{}, false
	case isKnown:
		return Warning{Kind: Ignored, Option: r.String(), Text: "ignored: Bolide does not use this option"}, true
	case r.name == "*":
		return Warning{Kind: Unknown, Option: "[" + r.section + "]", Text: "unknown section (misspelt?)"}, true
	}
	return Warning{Kind: Unknown, Option: r.String(), Text: "unknown option (misspelt?)"}, true
}

// whole reports whether a section is known with whatever it holds.
func (k *known) whole(section string) bool {
	for s := range k.sections {
		if prefix, ok := strings.CutSuffix(s, "*"); s == section || ok && strings.HasPrefix(section, prefix) {
			return true
		}
	}
	return false
}

func (k *known) hasSection(section string) bool {
	for r := range k.defaults {
		if r.section == section {
			return true
		}
	}
	return false
}

// sameText compares values as far as text can: True is true.
func sameText(a, b string) bool {
	x, errX := parseBool(a)
	y, errY := parseBool(b)
	if errX == nil && errY == nil {
		return x == y
	}
	return strings.EqualFold(strings.ReplaceAll(a, " ", ""), strings.ReplaceAll(b, " ", ""))
}

func newField(v reflect.Value) reflect.Value { return reflect.New(v.Type()).Elem() }
