package format

import (
	"bytes"
	"fmt"
	"strings"
)

// vmdkDescriptor is the text part of a VMDK. Keys are lower case.
type vmdkDescriptor struct {
	createType string
	fields     map[string]string
	extents    []vmdkExtent
	faults     []string
}

type vmdkExtent struct {
	kind string // lower case: sparse, flat, zero, vmfs, …
	path string
}

// parseVMDKDescriptor reads a descriptor and takes every line it does not understand for a fault, since another
// reader may understand it.
func parseVMDKDescriptor(text []byte) vmdkDescriptor {
	d := vmdkDescriptor{fields: map[string]string{}}
	text, padding, _ := bytes.Cut(text, []byte{0})
	if len(bytes.Trim(padding, "\x00")) > 0 {
		d.faults = append(d.faults, "its descriptor goes on after its end")
	}
	for line := range bytes.Lines(text) {
		d.line(strings.TrimSpace(string(line)))
		if len(d.faults) > 8 || len(d.extents) > 64 {
			break // enough to refuse it
		}
	}
	d.createType = d.fields["createtype"]
	return d
}

func (d *vmdkDescriptor) line(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch strings.ToLower(word) {
	case "rw", "rdonly", "noaccess":
		d.extents = append(d.extents, parseVMDKExtent(rest))
		return
	}
	key, value, found := strings.Cut(line, "=")
	key = strings.ToLower(strings.TrimSpace(key))
	switch {
	case line == "" || line[0] == '#':
	case !printable(line) || !found || strings.Contains(key, " "):
		d.faults = append(d.faults, fmt.Sprintf("its descriptor has a line that is not understood: %.60q", line))
	default:
		if _, twice := d.fields[key]; twice {
			d.faults = append(d.faults, fmt.Sprintf("its descriptor says %.40q twice", key))
		}
		d.fields[key] = strings.Trim(strings.TrimSpace(value), `"`)
	}
}

// parseVMDKExtent reads what follows the access of an extent line: SECTORS KIND "path" [offset].
func parseVMDKExtent(rest string) vmdkExtent {
	before, quoted, _ := strings.Cut(rest, `"`)
	path, _, _ := strings.Cut(quoted, `"`)
	if len(path) > 1023 {
		path = path[:1023]
	}
	e := vmdkExtent{path: path}
	if f := strings.Fields(before); len(f) >= 2 {
		e.kind = strings.ToLower(f[1])
	}
	return e
}

// parent reports whether the disk is a difference to another one.
func (d *vmdkDescriptor) parent() bool {
	_, hint := d.fields["parentfilenamehint"]
	cid := strings.ToLower(d.fields["parentcid"])
	return hint || cid != "" && cid != "ffffffff"
}

// references returns every file a bare descriptor names.
func (d *vmdkDescriptor) references() (refs []Reference) {
	if d.parent() {
		refs = append(refs, Reference{Kind: Parent, Path: d.fields["parentfilenamehint"]})
	}
	for _, e := range d.extents {
		refs = append(refs, Reference{Kind: Extent, Path: e.path, Format: e.kind})
	}
	return refs
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }) < 0
}
