package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// resolver finds the text of options: command line, then oslo's environment,
// then files (the last that has it), then other environment, then defaults.
type resolver struct {
	env       []string
	files     []*file // in the order read
	overrides map[ref]string
	declared  map[ref]*option
	known     map[ref]string // defaults of options that are not declared
	dynamic   map[ref]string // defaults that the host decides

	resolving []ref // chain of references, to find circles
}

// found is what the sources say about an option.
type found struct {
	texts []string // as written, at least one
	from  string   // "FILE:LINE", "environment NAME", "command line", "default"
	used  ref      // the name it was found under
	ok    bool     // false: nothing set it and it has no default
}

var errNotSet = errors.New("not set")

// find looks an option up, without substitution. Variables that are not oslo's
// speak to all programs of the host: a file that speaks to the node wins.
func (r *resolver) find(o *option) found {
	if v, ok := r.overrides[o.ref]; ok {
		return found{[]string{v}, "command line", o.ref, true}
	}
	env := "OS_" + strings.ToUpper(o.section) + "__" + strings.ToUpper(o.name)
	if v, ok := lookupOK(r.env, env); ok {
		return found{[]string{v}, "environment " + env, o.ref, true}
	}
	if f := r.findInFiles(append([]ref{o.ref}, o.old...), o.multi()); f.ok {
		return f
	}
	for name := range strings.SplitSeq(o.tag.Get("variables"), ",") {
		if v, ok := lookupOK(r.env, name); ok {
			return found{[]string{v}, "environment " + name, o.ref, true}
		}
	}
	if v, ok := r.dynamic[o.ref]; ok {
		return found{[]string{v}, "default", o.ref, true}
	}
	return found{[]string{o.def}, "default", o.ref, o.hasDef}
}

// findInFiles asks the newest file first, and in each file the names in the
// given order. A repeatable option collects every value instead, oldest first.
func (r *resolver) findInFiles(names []ref, multi bool) found {
	var got found
	for _, f := range slices.Backward(r.files) {
		for _, n := range names {
			as := f.values[n]
			if len(as) == 0 {
				continue
			}
			last := as[len(as)-1]
			if !got.ok {
				got = found{nil, fmt.Sprintf("%s:%d", f.path, last.line), n, true}
			}
			if !multi {
				got.texts = []string{last.value}
				return got
			}
			var texts []string
			for _, a := range as {
				texts = append(texts, a.value)
			}
			got.texts = append(texts, got.texts...)
		}
	}
	return got
}

// resolve looks an option up, puts in what it refers to and sets its field.
func (r *resolver) resolve(o *option) (found, error) {
	f := r.find(o)
	if !f.ok {
		return f, errNotSet
	}
	if slices.Contains(r.resolving, o.ref) {
		return f, fmt.Errorf("%s refers to itself", o.ref)
	}
	r.resolving = append(r.resolving, o.ref)
	defer func() { r.resolving = r.resolving[:len(r.resolving)-1] }()

	texts := make([]string, len(f.texts))
	for i, t := range f.texts {
		var err error
		if texts[i], err = substitute(t, func(name string) (string, error) { return r.reference(o.section, name) }); err != nil {
			return f, err
		}
	}
	return f, o.set(texts)
}

// reference gives the text that "$name" in a value of section stands for.
func (r *resolver) reference(section, name string) (string, error) {
	tries := []ref{{section, name}, {"DEFAULT", name}}
	if s, n, ok := strings.Cut(name, "."); ok {
		tries = []ref{{normalSection(s), n}}
	}
	for _, t := range tries {
		if o := r.declared[t]; o != nil {
			if _, err := r.resolve(o); err != nil && !errors.Is(err, errNotSet) {
				return "", fmt.Errorf("$%s: %w", name, err)
			}
			return o.python(), nil
		}
		if def, ok := r.known[t]; ok {
			return r.knownText(t, def)
		}
	}
	return "", fmt.Errorf("refers to unknown option %s (write $$ for a dollar sign)", name)
}

// knownText is the value of an option that Nova has and Bolide does not use.
func (r *resolver) knownText(n ref, def string) (string, error) {
	o := &option{ref: n, def: def, hasDef: true}
	f := r.find(o)
	if slices.Contains(r.resolving, n) {
		return "", fmt.Errorf("%s refers to itself", n)
	}
	r.resolving = append(r.resolving, n)
	defer func() { r.resolving = r.resolving[:len(r.resolving)-1] }()
	return substitute(f.texts[len(f.texts)-1], func(name string) (string, error) { return r.reference(n.section, name) })
}
