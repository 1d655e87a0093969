package config

// Socket finds the path of the status socket, for a program that wants only
// that: what cannot be read is passed over, as the daemon may have been started
// with more rights or other files.
func Socket(o Options) string {
	dirs := o.SearchDirs
	if dirs == nil {
		dirs = DefaultSearchDirs(o.Env)
	}
	paths, _ := expandSources(o.Sources, dirs)
	r := &resolver{env: o.Env, overrides: overrides(o.Overrides), dynamic: hostDefaults(o)}
	for _, p := range paths {
		if f, err := readFile(p); err == nil {
			r.files = append(r.files, f)
		}
	}
	c := &Config{}
	r.declared = map[ref]*option{}
	opts := declare(c, "zed")
	for _, opt := range opts {
		r.declared[opt.ref] = opt
	}
	opt := r.declared[ref{"bolide", "socket"}]
	if _, err := r.resolve(opt); err != nil {
		return opt.def
	}
	return c.Bolide.Socket
}
