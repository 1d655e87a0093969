package config

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// osloOption is one line of testdata/options.py.
type osloOption struct {
	Section, Name, Type string
	Multi, Secret       bool
	Default             *string
	Choices             []string
	Min, Max            *float64
	Old                 []string
}

// osloOptions asks Nova itself for its options, where it is installed.
func osloOptions(t *testing.T) map[ref]osloOption {
	t.Helper()
	needPython(t)
	list, err := osloList()
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[ref]osloOption, len(list))
	for _, o := range list {
		m[ref{o.Section, o.Name}] = o
	}
	return m
}

var osloList = sync.OnceValues(func() (list []osloOption, err error) {
	out, err := exec.Command(python(), "testdata/options.py").Output()
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal(out, &list)
})

// python finds a Python that has Nova's packages; "" if there is none.
var python = sync.OnceValue(func() string {
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import nova.conf").Run() == nil {
			return p
		}
	}
	return ""
})

func needPython(t *testing.T) string {
	t.Helper()
	if python() == "" {
		t.Skip("no python3 with Nova's packages")
	}
	return python()
}

// Where Bolide declares an option otherwise than Zed does, and why.
var differences = map[string]string{
	"[DEFAULT] host default":                                         "the host's",
	"[DEFAULT] my_ip default":                                        "the host's",
	"[DEFAULT] state_path default":                                   "not inside a Python package",
	"[DEFAULT] control_exchange default":                             "Nova sets it when it starts",
	"[DEFAULT] executor_thread_pool_size min":                        "without workers nothing runs",
	"[oslo_messaging_rabbit] heartbeat_rate min":                     "a division by it",
	"[DEFAULT] report_interval min":                                  "below 1 s a node only hurts conductor",
	"[DEFAULT] service_down_time min":                                "as report_interval",
	"[oslo_messaging_rabbit] rabbit_transient_queues_ttl min":        "0 is allowed from 2024.1 on",
	"[oslo_messaging_rabbit] rabbit_quorum_max_memory_length absent": "misspelt in Zed",
	"[oslo_messaging_rabbit] rabbit_quorum_max_memory_bytes absent":  "misspelt in Zed",
	"[oslo_messaging_rabbit] rabbit_transient_quorum_queue absent":   "2024.1",
	"[oslo_messaging_rabbit] rabbit_stream_fanout absent":            "2024.1",
	"[oslo_messaging_rabbit] use_queue_manager absent":               "2024.1",
	"[oslo_messaging_rabbit] hostname absent":                        "2024.1",
	"[oslo_messaging_rabbit] processname absent":                     "2024.1",
	"[oslo_messaging_rabbit] kombu_reconnect_splay absent":           "2025.1",
	"[libvirt] tb_cache_size absent":                                 "2024.1",
	"[neutron_tunnel] numa_nodes absent":                             "Nova registers it when it starts",
}

func TestDeclarationsAreNovas(t *testing.T) {
	oslo := osloOptions(t)
	for _, o := range declare(&Config{}, "zed") {
		if o.section == "bolide" {
			continue
		}
		theirs, ok := oslo[o.ref]
		report := func(what string, ours, want any) {
			if differences[o.ref.String()+" "+what] == "" {
				t.Errorf("%s: %s is %v, Nova has %v", o.ref, what, ours, want)
			}
		}
		if !ok {
			if o.auth || isAuthOption(o.name) {
				continue // Nova registers them when it needs the service
			}
			report("absent", "declared", "nothing")
			continue
		}
		compareDefault(report, o, theirs)
		if c := strings.Split(o.tag.Get("choices"), ","); len(theirs.Choices) > 0 && !sameSet(c, theirs.Choices) {
			report("choices", c, theirs.Choices)
		}
		for _, b := range []struct {
			tag  string
			want *float64
		}{{"min", theirs.Min}, {"max", theirs.Max}} {
			s, has := o.tag.Lookup(b.tag)
			f, _ := strconv.ParseFloat(s, 64)
			if b.want != nil && theirs.Type != "Port" && (!has || f != *b.want) || b.want == nil && has && o.tag.Get("kind") != "float" && f > 0 {
				report(b.tag, s, b.want)
			}
		}
		if o.multi() != theirs.Multi {
			report("multi", o.multi(), theirs.Multi)
		}
		if theirs.Secret && !o.secret() {
			report("secret", o.secret(), true)
		}
		var old []string
		for _, r := range o.old {
			old = append(old, r.section+"."+r.name)
		}
		self := o.section + "." + o.name // oslo.messaging names one of its options as its own old name
		theirs.Old = slices.DeleteFunc(theirs.Old, func(s string) bool { return s == self })
		if !sameSet(old, theirs.Old) {
			report("old names", old, theirs.Old)
		}
	}
}

func isAuthOption(name string) bool {
	for _, o := range declare(&Config{}, "zed") {
		if o.section == "placement" && o.name == name {
			return true
		}
	}
	return false
}

func compareDefault(report func(string, any, any), o *option, theirs osloOption) {
	want := ""
	if theirs.Default != nil {
		want = *theirs.Default
	}
	if o.def == want || o.multi() && want == "None" {
		return
	}
	if b, err := parseBool(o.def); err == nil && (want == "True") == b && (want == "True" || want == "False") {
		return
	}
	report("default", o.def, want)
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// Every option that nova-compute reads is one that Bolide uses, or that it
// knows to leave aside.
func TestEveryNovaOptionIsKnown(t *testing.T) {
	oslo := osloOptions(t)
	k, err := loadKnown()
	if err != nil {
		t.Fatal(err)
	}
	declared := map[ref]bool{}
	for _, o := range declare(&Config{}, "zed") {
		declared[o.ref] = true
		for _, old := range o.old {
			declared[old] = true
		}
	}
	for r, o := range oslo {
		def, isKnown := k.defaults[r]
		switch {
		case declared[r] && isKnown:
			t.Errorf("%s is declared and listed as not used", r)
		case declared[r] || k.sections[r.section]:
		case !isKnown:
			t.Errorf("%s is neither declared nor listed", r)
		case o.Default != nil && !strings.HasPrefix(def, "$") && !sameText(def, *o.Default):
			t.Errorf("%s is listed with default %q, Nova has %q", r, def, *o.Default)
		}
	}
}
