package nova

// InstanceGroup is a view of a server group.
type InstanceGroup struct{ *Object }

func (g InstanceGroup) UUID() string             { return g.Str("uuid") }
func (g InstanceGroup) Name() string             { return g.Str("name") }
func (g InstanceGroup) Policy() string           { return g.Str("policy") }
func (g InstanceGroup) Members() []string        { return g.Strings("members") } // instance uuids
func (g InstanceGroup) Rules() map[string]string { return g.Map("_rules") }
