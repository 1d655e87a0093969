package config

import "fmt"

// Kinds of warning.
const (
	Deprecated = "deprecated" // an old name was used
	Ignored    = "ignored"    // Nova's compute node has it, Bolide does not use it
	Unknown    = "unknown"    // nothing of Nova's reads it: perhaps misspelt
)

// Warning is something in the configuration that does not do what it says. It
// does not keep the daemon from starting.
type Warning struct {
	Kind   string `json:"kind"`
	Option string `json:"option"` // "[section] name"
	From   string `json:"from"`   // "FILE:LINE" …
	Text   string `json:"text"`
}

func (w Warning) String() string { return fmt.Sprintf("%s (%s): %s", w.Option, w.From, w.Text) }

// optionWarnings compares how an option was set with how it is meant to be.
func optionWarnings(o *option, f found) []Warning {
	var ws []Warning
	if f.ok && f.used != o.ref {
		ws = append(ws, Warning{Deprecated, f.used.String(), f.from, "deprecated name of " + o.ref.String()})
	}
	if o.unused() != "" && f.from != "default" && f.ok && !o.atDefault() {
		ws = append(ws, Warning{Ignored, o.ref.String(), f.from, "ignored: Bolide does not do " + o.unused()})
	}
	return ws
}

// atDefault reports whether the option's value is the one it has unset.
func (o *option) atDefault() bool {
	now := o.text()
	fresh := *o
	fresh.field = newField(o.field)
	if o.hasDef && fresh.set([]string{o.def}) != nil {
		return false // a default that refers to others: not worth the work
	}
	return fresh.text() == now
}
