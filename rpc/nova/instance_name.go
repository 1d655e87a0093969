package nova

import (
	"encoding/json"
)

// DefaultNameTemplate is Nova's default of instance_name_template.
const DefaultNameTemplate = "instance-%08x"

// Name fills Nova's instance_name_template, the name of the libvirt domain.
// A template with a plain conversion takes the database id; one with named
// conversions such as %(uuid)s takes fields of the instance. A template that
// cannot be filled gives the uuid, as Nova does.
func (i Instance) Name(template string) string {
	if s, ok := formatPercent(template, i.ID(), nil); ok {
		return s
	}
	fields := map[string]any{}
	for _, f := range i.Fields() {
		switch v := i.Raw(f).(type) {
		case nil, bool, string, json.Number:
			fields[f] = v
		}
	}
	if s, ok := formatPercent(template, nil, fields); ok {
		return s
	}
	return i.UUID()
}
