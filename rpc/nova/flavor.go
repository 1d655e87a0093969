package nova

// Flavor is a view of a Flavor object.
type Flavor struct{ *Object }

func (f Flavor) ID() int64          { return f.Int("id") }
func (f Flavor) FlavorID() string   { return f.Str("flavorid") }
func (f Flavor) Name() string       { return f.Str("name") }
func (f Flavor) VCPUs() int64       { return f.Int("vcpus") }
func (f Flavor) MemoryMB() int64    { return f.Int("memory_mb") } // MiB
func (f Flavor) RootGB() int64      { return f.Int("root_gb") }   // GiB
func (f Flavor) EphemeralGB() int64 { return f.Int("ephemeral_gb") }

// SwapMB is the size of the swap disk in MiB.
func (f Flavor) SwapMB() int64 { return f.Int("swap") }

// ExtraSpecs is a copy of the extra specs; nil when they were not loaded.
func (f Flavor) ExtraSpecs() map[string]string { return f.Map("extra_specs") }

// ExtraSpec returns one extra spec, "" when it is not there.
func (f Flavor) ExtraSpec(key string) string {
	dict, _ := f.Raw("extra_specs").(map[string]any)
	return text(dict[key])
}
