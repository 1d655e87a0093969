package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// minimal is the least a node needs.
const minimal = `
[placement]
auth_type = password
auth_url = http://keystone:5000/v3
[neutron]
auth_type = password
auth_url = http://keystone:5000/v3
`

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// load reads minimal and then text.
func load(t *testing.T, text string, env ...string) (*Config, []Warning, error) {
	t.Helper()
	dir := t.TempDir()
	return Load(Options{
		Sources:    Files(write(t, dir, "minimal.conf", minimal), write(t, dir, "nova.conf", text)),
		SearchDirs: []string{}, Env: env, Hostname: "node-1", MyIP: "192.0.2.7",
	})
}

func mustLoad(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	c, _, err := load(t, text, env...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, "")
	d := &c.Default
	for name, ok := range map[string]bool{
		"host":                 d.Host == "node-1",
		"my_ip":                d.MyIP == "192.0.2.7",
		"instances_path":       d.InstancesPath == "/var/lib/nova/instances",
		"snapshots_directory":  c.Libvirt.SnapshotsDirectory == "/var/lib/nova/instances/snapshots",
		"vif_plugging_timeout": d.VIFPluggingTimeout == 300*time.Second,
		"downtime in ms":       c.Libvirt.LiveMigrationDowntime == 500*time.Millisecond,
		"unset ratio":          d.CPUAllocationRatio == nil,
		"initial ratio":        d.InitialCPUAllocationRatio == 16,
		"fraction of a second": c.Rabbit.KombuReconnectDelay == time.Second,
		"image service":        c.Glance.ServiceType == "image",
		"volume service":       c.Cinder.ServiceType == "",
		"placement interfaces": slices.Equal(c.Placement.ValidInterfaces, []string{"internal", "public"}),
		"socket":               c.Bolide.Socket == "/run/bolide/status.sock",
	} {
		if !ok {
			t.Errorf("%s has another default", name)
		}
	}
}

func TestDefaultsOfLaterReleases(t *testing.T) {
	for release, want := range map[string][3]float64{
		"zed": {60, 16, 2}, "2023.1": {60, 4, 2}, "2024.1": {60, 4, 3}, "2025.1": {-1, 4, 3}, "2026.1": {-1, 4, 3},
	} {
		c := mustLoad(t, "[bolide]\nrelease = "+release)
		got := [3]float64{c.Default.HealInstanceInfoCacheInterval.Seconds(), c.Default.InitialCPUAllocationRatio, float64(c.Rabbit.HeartbeatRate)}
		if got != want {
			t.Errorf("%s: %v, want %v", release, got, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	first := write(t, dir, "first.conf", minimal+"[DEFAULT]\nreport_interval=1\nreport_interval=2\nshutdown_timeout=1\nmax_concurrent_builds=1\nmax_concurrent_snapshots=1\n")
	write(t, dir, "d/20.conf", "[DEFAULT]\nshutdown_timeout=20\n")
	write(t, dir, "d/10.conf", "[DEFAULT]\nshutdown_timeout=10\nmax_concurrent_builds=10\n")
	write(t, dir, "d/.hidden.conf", "[DEFAULT]\nshutdown_timeout=99\n")
	last := write(t, dir, "last.conf", "[DEFAULT]\nmax_concurrent_builds=30\n")
	c, _, err := Load(Options{
		Sources:    []Source{{File: first}, {Dir: filepath.Join(dir, "d")}, {File: last}},
		SearchDirs: []string{},
		Env:        []string{"OS_DEFAULT__MAX_CONCURRENT_SNAPSHOTS=40", "OS_DEFAULT__DEBUG=false"},
		Overrides:  map[string]string{"DEFAULT.debug": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := c.Default
	got := []int{int(d.ReportInterval.Seconds()), int(d.ShutdownTimeout.Seconds()), d.MaxConcurrentBuilds, d.MaxConcurrentSnapshots}
	if want := []int{2, 20, 30, 40}; !slices.Equal(got, want) || !d.Debug {
		t.Errorf("got %v debug=%v, want %v", got, d.Debug, want)
	}
}

func TestFilesWinOverVariablesOfOthers(t *testing.T) {
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://all:4318", "OTEL_EXPORTER_OTLP_HEADERS=a=1,b=2"}
	for name, tt := range map[string]struct {
		conf string
		env  []string
		want string
	}{
		"unset":                     {"", nil, ""},
		"a variable":                {"", env, "http://all:4318"},
		"a variable for traces":     {"", append(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://traces:4318/v1/traces"), "http://traces:4318/v1/traces"},
		"a file":                    {"trace_endpoint = http://file:4318", env, "http://file:4318"},
		"a file, to have none":      {"trace_endpoint =", env, ""},
		"oslo's variable, and file": {"trace_endpoint = http://file:4318", append(env, "OS_BOLIDE__TRACE_ENDPOINT=http://oslo:4318"), "http://oslo:4318"},
	} {
		c, _, err := load(t, "[bolide]\n"+tt.conf+"\n", tt.env...)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Bolide.TraceEndpoint; got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if got := len(c.Bolide.TraceHeaders); got != 2 && tt.env != nil {
			t.Errorf("%s: %d headers", name, got)
		}
	}
}

func TestDefaultFiles(t *testing.T) {
	dir := t.TempDir()
	home, etc := filepath.Join(dir, "home"), filepath.Join(dir, "etc")
	write(t, etc, "nova.conf", minimal+"[DEFAULT]\nshutdown_timeout=1\nreboot_timeout=1\nrescue_timeout=1\n")
	write(t, etc, "nova-compute.conf", "[DEFAULT]\nreboot_timeout=2\n")
	write(t, home, "nova-compute.conf", "[DEFAULT]\nreboot_timeout=3\n")
	write(t, etc, "nova.conf.d/x.conf", "[DEFAULT]\nrescue_timeout=4\n")
	named := write(t, dir, "named.conf", minimal+"[DEFAULT]\nshutdown_timeout=5\n")

	for name, tt := range map[string]struct {
		sources []Source
		want    [3]int // shutdown, reboot, rescue
	}{
		"none named":       {nil, [3]int{1, 3, 4}},
		"a file named":     {Files(named), [3]int{5, 0, 4}},
		"an empty dir too": {[]Source{{File: named}, {Dir: t.TempDir()}}, [3]int{5, 0, 0}},
	} {
		c, _, err := Load(Options{Sources: tt.sources, SearchDirs: []string{home, etc}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := c.Default
		got := [3]int{int(d.ShutdownTimeout.Seconds()), int(d.RebootTimeout.Seconds()), int(d.RescueTimeout.Seconds())}
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestAuthSection(t *testing.T) {
	c := mustLoad(t, `
[neutron]
auth_section = Shared
username = wrong
region_name = RegionOne
[shared]
auth_type = v3password
auth_url = http://shared:5000
user-name = nova
tenant_name = service
region_name = wrong
`)
	n := c.Neutron
	got := []string{n.AuthType, n.AuthURL, n.Username, n.ProjectName, n.RegionName}
	if want := []string{"v3password", "http://shared:5000", "nova", "service", "RegionOne"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Everything that is wrong is said at once, each with its place.
func TestErrorsAreListedAtOnce(t *testing.T) {
	_, _, err := load(t, `
[DEFAULT]
vif_plugging_timeout = soon
max_concurrent_builds = -1
use_cow_images = maybe
cpu_allocation_ratio = -2
compute_driver = vmwareapi.VMwareVCDriver
instances_path = $nowhere/x
state_path = $instances_path
transport_url = zmq://host
report_interval =
config_source = remote
host = bad host
[libvirt]
virt_type = xen
cpu_models = Haswell
images_type = lvm
rx_queue_size = 100
num_pcie_ports = 99
[vnc]
server_listen = not an address
novncproxy_base_url = nowhere
[ephemeral_storage_encryption]
enabled = true
[glance]
verify_glance_signatures = true
[oslo_messaging_rabbit]
rabbit_ha_queues = true
rabbit_quorum_queue = true
rabbit_stream_fanout = true
kombu_reconnect_delay = 5
[service_user]
send_service_user_token = true
auth_type = v3kerberos
[neutron]
password = pa$word
[key_manager]
backend = vault
[bolide]
image_stores = images
trace_endpoint = collector:4318
[libvirt]
swtpm_enabled = true
`, "OS_DEFAULT__SHUTDOWN_TIMEOUT=1h", "OTEL_EXPORTER_OTLP_HEADERS=Bearer s3cret")
	if err == nil {
		t.Fatal("no error")
	}
	var got []string
	for _, line := range strings.Split(err.Error(), "\n") {
		got = append(got, strings.Replace(line, filepath.Dir(pathIn(line)), "", 1))
	}
	want := []string{
		`[DEFAULT] host (/nova.conf:13): "bad host" is not a valid host address`,
		`[DEFAULT] state_path (/nova.conf:9): $instances_path: refers to unknown option nowhere (write $$ for a dollar sign)`,
		`[DEFAULT] instances_path (/nova.conf:8): refers to unknown option nowhere (write $$ for a dollar sign)`,
		`[DEFAULT] cpu_allocation_ratio (/nova.conf:6): -2 should be at least 0`,
		`[DEFAULT] use_cow_images (/nova.conf:5): "maybe" is not a boolean (true, false, yes, no, on, off, 1, 0)`,
		`[DEFAULT] max_concurrent_builds (/nova.conf:4): -1 should be at least 0`,
		`[DEFAULT] vif_plugging_timeout (/nova.conf:3): "soon" is not an integer`,
		`[DEFAULT] shutdown_timeout (environment OS_DEFAULT__SHUTDOWN_TIMEOUT): "1h" is not an integer`,
		`[DEFAULT] report_interval (/nova.conf:11): empty where a number is needed`,
		`[libvirt] virt_type (/nova.conf:15): "xen" is none of kvm, lxc, qemu, parallels`,
		`[libvirt] num_pcie_ports (/nova.conf:19): 99 should be at most 28`,
		`[libvirt] snapshots_directory (default): $instances_path: refers to unknown option nowhere (write $$ for a dollar sign)`,
		`[libvirt] rx_queue_size (/nova.conf:18): "100" is none of 256, 512, 1024`,
		`[libvirt] nfs_mount_point_base (default): $state_path: $instances_path: refers to unknown option nowhere (write $$ for a dollar sign)`,
		`[neutron] password (/nova.conf:36): refers to an unknown option (write $$ for a dollar sign)`,
		`[oslo_messaging_rabbit] kombu_reconnect_delay (/nova.conf:31): 5 should be at most 4.5`,
		`[vnc] server_listen (/nova.conf:21): "not an address" is not a valid host address`,
		`[vnc] novncproxy_base_url (/nova.conf:22): "nowhere" is not a URI with scheme and host`,
		`[DEFAULT] compute_driver (/nova.conf:7): "vmwareapi.VMwareVCDriver" is not libvirt.LibvirtDriver, the only one Bolide has`,
		`[DEFAULT] config_source (/nova.conf:12): Bolide reads no remote configuration: what stands there would be lost`,
		`[libvirt] cpu_models (/nova.conf:16): cpu_mode must be custom, not ""`,
		`[libvirt] images_type (/nova.conf:17): Bolide does not keep disks in lvm`,
		`[ephemeral_storage_encryption] enabled (/nova.conf:24): Bolide does not encrypt local disks`,
		`[key_manager] backend (/nova.conf:38): "vault" is not barbican, the only key manager that Bolide takes certificates of signed images from`,
		`[key_manager] backend (/nova.conf:38): "vault" is not barbican, the only key manager that Bolide takes secrets of emulated TPMs from`,
		`[bolide] image_stores (/nova.conf:40): "images" is not an absolute path`,
		`[DEFAULT] transport_url (/nova.conf:10): zmq is not rabbit, the only transport Bolide has`,
		`[oslo_messaging_rabbit] rabbit_ha_queues (/nova.conf:28): cannot be combined with rabbit_quorum_queue`,
		`[oslo_messaging_rabbit] rabbit_stream_fanout (/nova.conf:30): needs rabbit_transient_quorum_queue`,
		`[oslo_messaging_rabbit] rabbit_qos_prefetch_count (default): must be above 0 with rabbit_stream_fanout`,
		`[service_user] auth_type (/nova.conf:34): Bolide does not know "v3kerberos": use password or v3applicationcredential`,
		`[bolide] trace_endpoint (/nova.conf:41): not an http or https URL`,
		`[bolide] trace_headers (environment OTEL_EXPORTER_OTLP_HEADERS): not name=value,…`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// pathIn finds the path in "[x] y (PATH:LINE): …".
func pathIn(line string) string {
	_, rest, _ := strings.Cut(line, " (")
	path, _, _ := strings.Cut(rest, ":")
	return path
}

func TestFileErrorsAreListedAtOnce(t *testing.T) {
	dir := t.TempDir()
	_, _, err := Load(Options{Sources: []Source{
		{File: write(t, dir, "a.conf", "oops\n")},
		{File: filepath.Join(dir, "missing.conf")},
		{Dir: filepath.Join(dir, "missing.d")},
		{File: write(t, dir, "b.conf", "[x\n")},
	}, SearchDirs: []string{}})
	for _, want := range []string{"a.conf: line 1: no ':'", "missing.conf: no such file", "missing.d: no such file", "b.conf: line 1: section must end"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	_, ws, err := load(t, `
[DEFAULT]
rpc_thread_pool_size = 10
vif_pluging_timeout = 3
use_syslog = true
use_journal = False
osapi_compute_workers = 4
notification_driver = messagingv2
volume_usage_poll_interval = 0
[libvirt]
live_migration_permit_auto_converge = True
live_migration_downtime = 500
volume_clear = shred
VIRT_TYPE = kvm
[scheduler]
max_attempts = 3
[neutron_physnet_physnet1]
numa_nodes = 0
[libvrit]
virt_type = kvm
cpu_mode = none
[default]
debug = true
[libvirt]
volume_clear = none
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range ws {
		got = append(got, w.Kind+": "+strings.Replace(w.String(), filepath.Dir(pathIn(w.String())), "", 1))
	}
	want := []string{
		"deprecated: [DEFAULT] rpc_thread_pool_size (/nova.conf:3): deprecated name of [DEFAULT] executor_thread_pool_size",
		"deprecated: [DEFAULT] notification_driver (/nova.conf:8): deprecated name of [oslo_messaging_notifications] driver",
		"unknown: [DEFAULT] vif_pluging_timeout (/nova.conf:4): unknown option (misspelt?)",
		"ignored: [DEFAULT] use_syslog (/nova.conf:5): ignored: Bolide does not use this option",
		"ignored: [libvirt] volume_clear (/nova.conf:13): ignored: Bolide does not use this option",
		"unknown: [libvirt] VIRT_TYPE (/nova.conf:14): unknown option (misspelt?)",
		"unknown: [libvrit] (/nova.conf:20): unknown section (misspelt?)",
		"unknown: [default] (/nova.conf:23): unknown section (misspelt?)",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSettingsShowNoSecret(t *testing.T) {
	c := mustLoad(t, `
[DEFAULT]
transport_url = rabbit://nova:s3cret@mq1:5672,nova:s3cret@mq2:5672/cell?ssl=1
[neutron]
password = s3cret
[placement]
application_credential_secret = s3cret
[oslo_messaging_notifications]
transport_url = rabbit://nova:s3cret@mq1
`)
	seen := 0
	for _, s := range c.Settings() {
		if strings.Contains(s.Value, "s3cret") {
			t.Errorf("[%s] %s shows its secret: %s", s.Section, s.Name, s.Value)
		}
		if strings.Contains(s.Value, "***") {
			seen++
		}
		if s.Section == "DEFAULT" && s.Name == "transport_url" && s.Value != "rabbit://nova:***@mq1:5672,nova:***@mq2:5672/cell?ssl=1" {
			t.Errorf("transport_url shown as %s", s.Value)
		}
	}
	if seen != 4 {
		t.Errorf("%d settings masked, want 4", seen)
	}
	if c.Neutron.Password != "s3cret" {
		t.Errorf("the secret itself is %q", c.Neutron.Password)
	}
}

// A tag that says what the code does not understand would be a quiet mistake.
func TestDeclarationsAreSound(t *testing.T) {
	seen := map[ref]bool{}
	for _, o := range declare(&Config{}, "zed") {
		if seen[o.ref] {
			t.Errorf("%s declared twice", o.ref)
		}
		seen[o.ref] = true
		if !slices.Contains([]string{"", "port", "uri", "host", "domain", "multi", "float"}, o.tag.Get("kind")) {
			t.Errorf("%s: unknown kind %q", o.ref, o.tag.Get("kind"))
		}
		if !slices.Contains([]string{"", "s", "ms"}, o.tag.Get("unit")) {
			t.Errorf("%s: unknown unit %q", o.ref, o.tag.Get("unit"))
		}
		if o.hasDef && !strings.Contains(o.def, "$") {
			if err := o.set([]string{o.def}); err != nil {
				t.Errorf("%s: default: %v", o.ref, err)
			}
		}
	}
	if len(seen) < 300 {
		t.Errorf("%d options declared", len(seen))
	}
}

func TestReferenceCircle(t *testing.T) {
	_, _, err := load(t, "[DEFAULT]\nstate_path=$instances_path\ninstances_path=$state_path\n")
	if err == nil || !strings.Contains(err.Error(), "refers to itself") {
		t.Errorf("error %v", err)
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "nova.conf", "[DEFAULT]\nstate_path=/srv\nbroken_timeout=x\n[bolide]\nsocket=$state_path/s.sock\n")
	for name, tt := range map[string]struct {
		sources []Source
		want    string
	}{
		"set":        {Files(file), "/srv/s.sock"},
		"unreadable": {Files(filepath.Join(dir, "missing"), file), "/srv/s.sock"},
		"not set":    {Files(write(t, dir, "empty.conf", "")), "/run/bolide/status.sock"},
	} {
		if got := Socket(Options{Sources: tt.sources, SearchDirs: []string{}}); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestNodesOfPhysicalNetworks(t *testing.T) {
	c := mustLoad(t, `
[neutron]
physnets = outside, inside
[neutron_physnet_outside]
numa_nodes = 0,1
[neutron_tunnel]
numa_nodes = 1
`)
	want := map[string][]string{"outside": {"0", "1"}, "inside": nil}
	if diff := cmp.Diff(want, c.Neutron.PhysnetNodes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1"}, c.NeutronTunnel.NUMANodes); diff != "" {
		t.Error(diff)
	}
}
