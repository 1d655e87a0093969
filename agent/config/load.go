package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// Options says where a configuration comes from.
type Options struct {
	// Sources are the files and directories of the command line, in its order.
	// Optional: without files nova.conf and nova-compute.conf are looked for,
	// without directories nova.conf.d and nova-compute.conf.d.
	Sources []Source
	// SearchDirs is where those are looked for. nil: DefaultSearchDirs(Env).
	SearchDirs []string
	// Env is the environment as os.Environ returns it. nil: none is read.
	Env []string
	// Overrides come from the command line and win over everything:
	// "section.option" to text.
	Overrides map[string]string
	// Hostname and MyIP are the defaults of host and my_ip. "": ask the system.
	Hostname, MyIP string
}

// Load reads a configuration. The error, where there is one, joins everything
// that is wrong: unreadable or malformed files, or else every bad value.
// Warnings come without an error and with one.
func Load(o Options) (*Config, []Warning, error) {
	dirs := o.SearchDirs
	if dirs == nil {
		dirs = DefaultSearchDirs(o.Env)
	}
	paths, err := expandSources(o.Sources, dirs)
	errs := []error{err}
	var files []*file
	for _, p := range paths {
		f, err := readFile(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return build(o, files)
}

func build(o Options, files []*file) (*Config, []Warning, error) {
	known, err := loadKnown()
	if err != nil {
		return nil, nil, err
	}
	c := &Config{}
	r := &resolver{env: o.Env, files: files, overrides: overrides(o.Overrides), known: known.defaults, dynamic: hostDefaults(o)}
	opts := declare(c, r.release())
	r.useAuthSections(opts)
	r.declared = make(map[ref]*option, len(opts))
	for _, opt := range opts {
		if r.declared[opt.ref] == nil {
			r.declared[opt.ref] = opt
		}
	}

	var errs []error
	var warnings []Warning
	failed := map[ref]bool{}
	for _, opt := range opts {
		f, err := r.resolve(opt)
		if err != nil && !errors.Is(err, errNotSet) {
			failed[opt.ref] = true
			errs = append(errs, valueError(opt, f, err))
			continue
		}
		c.settings = append(c.settings, newSetting(opt, f))
		warnings = append(warnings, optionWarnings(opt, f)...)
	}
	c.Neutron.PhysnetNodes = r.physnetNodes(c.Neutron.Physnets)
	warnings = append(warnings, known.warnings(files, opts)...)
	errs = append(errs, c.check(failed)...)
	return c, warnings, errors.Join(errs...)
}

// physnetNodes reads the sections that the names of physical networks make.
func (r *resolver) physnetNodes(names []string) map[string][]string {
	nodes := map[string][]string{}
	for _, name := range names {
		f := r.find(&option{ref: ref{"neutron_physnet_" + name, "numa_nodes"}, hasDef: true})
		nodes[name] = parseList(f.texts[len(f.texts)-1])
	}
	return nodes
}

// release reads [bolide] release, which defaults depend on. A wrong value is
// reported with the other options.
func (r *resolver) release() string {
	for _, o := range declare(&Config{}, "zed") {
		if o.ref == (ref{"bolide", "release"}) {
			return r.find(o).texts[0]
		}
	}
	return "zed"
}

// useAuthSections makes the credentials of a section that names another come
// from there.
func (r *resolver) useAuthSections(opts []*option) {
	moved := map[string]string{}
	for _, o := range opts {
		if o.name == "auth_section" {
			if f := r.find(o); f.ok && f.texts[0] != "" {
				moved[o.section] = normalSection(f.texts[0])
			}
		}
	}
	for _, o := range opts {
		to, ok := moved[o.section]
		if !ok || !o.auth {
			continue
		}
		for i := range o.old {
			if o.old[i].section == o.section {
				o.old[i].section = to
			}
		}
		o.section = to
	}
}

func overrides(in map[string]string) map[ref]string {
	out := make(map[ref]string, len(in))
	for k, v := range in {
		section, name, _ := strings.Cut(k, ".")
		out[ref{section, name}] = v
	}
	return out
}

// hostDefaults are the defaults that depend on where the program runs.
func hostDefaults(o Options) map[ref]string {
	host, ip := o.Hostname, o.MyIP
	if host == "" {
		host, _ = os.Hostname()
	}
	if ip == "" {
		ip = sourceAddress()
	}
	return map[ref]string{
		{"DEFAULT", "host"}:                   host,
		{"DEFAULT", "my_ip"}:                  ip,
		{"oslo_messaging_rabbit", "hostname"}: host,
	}
}

// sourceAddress is the address that traffic to elsewhere would leave from.
// Nothing is sent: connecting a datagram socket only asks the routing table.
func sourceAddress() string {
	c, err := net.Dial("udp4", "192.0.2.0:80")
	if err != nil {
		return "127.0.0.1"
	}
	defer c.Close()
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.IP.String()
	}
	return "127.0.0.1"
}

// ValueError is one wrong value.
type ValueError struct {
	Option string // "[section] name"
	From   string // "FILE:LINE", "environment NAME", "command line", "default"
	Err    error
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s (%s): %v", e.Option, e.From, e.Err)
}

func (e *ValueError) Unwrap() error { return e.Err }

func valueError(o *option, f found, err error) error {
	if o.secret() {
		// The text after a dollar is part of the secret.
		err = errors.New("refers to an unknown option (write $$ for a dollar sign)")
	}
	return &ValueError{Option: o.ref.String(), From: f.from, Err: err}
}
