package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// ref names an option: normalised section and name.
type ref struct{ section, name string }

func (r ref) String() string { return "[" + r.section + "] " + r.name }

// option is the declaration of one option, made from a field of Config and
// the field's tags:
//
//	ini      name in nova.conf
//	default  text as it would stand in a file; none means "no value"
//	later    "RELEASE=default ..." for releases that changed it
//	unit     of a time.Duration: s or ms (default s)
//	choices  the only accepted values, separated by commas
//	fold     choices in any case
//	min, max bounds of a number, in the option's own unit
//	kind     further check of a string: port, uri, host, domain; or multi, for
//	         an option that may be repeated
//	old      names it used to have, "name" or "section.name", by commas
//	variables further environment variables that set it, by commas; files win
//	secret   the value is never shown
//	unused   what Bolide does not do yet; setting the option warns so
//
// A section's field in Config carries the tags "section" and, where the
// sections that share a type differ, "defaults" and "formerly": lists of
// "name=value" that stand for the tags default and old.
type option struct {
	ref
	auth   bool // moves with auth_section
	tag    reflect.StructTag
	def    string
	hasDef bool
	old    []ref
	field  reflect.Value

	fieldName string // in Config
}

func (o *option) secret() bool   { return o.tag.Get("secret") != "" }
func (o *option) multi() bool    { return o.tag.Get("kind") == "multi" }
func (o *option) unused() string { return o.tag.Get("unused") }

// declare lists the options of a Config whose values the result can set.
func declare(c *Config, release string) []*option {
	var opts []*option
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if section, ok := tag.Lookup("section"); ok {
			d := declarer{
				section: section, release: release,
				defaults: pairs(tag.Get("defaults")), formerly: pairs(tag.Get("formerly")),
			}
			d.walk(v.Field(i), false)
			opts = append(opts, d.opts...)
		}
	}
	return opts
}

type declarer struct {
	section, release   string
	defaults, formerly map[string]string
	opts               []*option
}

func (d *declarer) walk(v reflect.Value, auth bool) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, ok := f.Tag.Lookup("ini")
		if !ok {
			if f.Anonymous && f.IsExported() {
				d.walk(v.Field(i), auth || f.Type == reflect.TypeFor[Credentials]())
			}
			continue
		}
		o := &option{ref: ref{d.section, name}, auth: auth, tag: f.Tag, field: v.Field(i), fieldName: f.Name}
		o.def, o.hasDef = f.Tag.Lookup("default")
		for _, l := range strings.Fields(f.Tag.Get("later")) {
			if since, def, ok := strings.Cut(l, "="); ok && !releaseBefore(d.release, since) {
				o.def, o.hasDef = def, true
			}
		}
		if def, ok := d.defaults[name]; ok {
			o.def, o.hasDef = def, true
		}
		o.old = oldNames(d.section, f.Tag.Get("old"))
		if old, ok := d.formerly[name]; ok {
			o.old = append(o.old, oldNames(d.section, old)...)
		}
		d.opts = append(d.opts, o)
	}
}

func oldNames(section, list string) []ref {
	var refs []ref
	for _, n := range strings.Split(list, ",") {
		if s, name, ok := strings.Cut(n, "."); ok {
			refs = append(refs, ref{s, name})
		} else if n != "" {
			refs = append(refs, ref{section, n})
		}
	}
	return refs
}

func pairs(list string) map[string]string {
	m := map[string]string{}
	for _, p := range strings.Fields(list) {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return m
}

// releaseBefore orders Nova's releases: zed, then the numbered ones.
func releaseBefore(a, b string) bool {
	if a == "zed" || b == "zed" {
		return a == "zed" && b != "zed"
	}
	return a < b
}

// set converts the texts of the option and puts the value into its field. Only
// an option of kind multi has more than one text.
func (o *option) set(texts []string) error {
	if o.multi() {
		return o.setMulti(texts)
	}
	text := texts[len(texts)-1]
	if err := o.checkChoice(text); err != nil {
		return err
	}
	switch p := o.field.Addr().Interface().(type) {
	case *string:
		*p = text
		return o.checkKind(text)
	case *bool:
		var err error
		*p, err = parseBool(text)
		return err
	case *[]string:
		*p = parseList(text)
		return o.checkItems(*p)
	case *map[string]string:
		var err error
		*p, err = parseDict(text)
		return err
	case *time.Duration:
		return o.setDuration(p, text)
	case *int:
		n, ok, err := o.number(text)
		if err == nil && !ok {
			err = errNoNumber
		}
		*p = int(n)
		return err
	case **int:
		n, ok, err := o.number(text)
		*p = nil
		if ok {
			i := int(n)
			*p = &i
		}
		return err
	case **float64:
		f, ok, err := parseFloat(text)
		*p = nil
		if ok {
			*p = &f
			err = o.checkBounds(f)
		}
		return err
	case *float64:
		f, ok, err := parseFloat(text)
		if err == nil && !ok {
			err = errNoNumber
		}
		if *p = f; err == nil {
			err = o.checkBounds(f)
		}
		return err
	}
	return fmt.Errorf("no conversion to %s", o.field.Type())
}

func (o *option) setMulti(texts []string) error {
	switch p := o.field.Addr().Interface().(type) {
	case *[]string:
		*p = texts
		return nil
	case *[]map[string]string:
		*p = nil
		for _, t := range texts {
			d, err := parseDict(t)
			if err != nil {
				return err
			}
			*p = append(*p, d)
		}
		return nil
	}
	return fmt.Errorf("no conversion to %s", o.field.Type())
}

func (o *option) setDuration(p *time.Duration, text string) error {
	unit := time.Second
	if o.tag.Get("unit") == "ms" {
		unit = time.Millisecond
	}
	f, ok, err := parseFloat(text)
	if o.tag.Get("kind") != "float" {
		var n int64
		n, ok, err = o.number(text)
		f = float64(n)
	}
	if err != nil {
		return err
	}
	if !ok {
		if o.hasDef && o.def != "" {
			return errNoNumber
		}
		*p = 0
		return nil
	}
	if err := o.checkBounds(f); err != nil {
		return err
	}
	if f *= float64(unit); f > float64(1<<62) || f < -float64(1<<62) {
		return fmt.Errorf("%s is out of range", text)
	}
	*p = time.Duration(f)
	return nil
}
