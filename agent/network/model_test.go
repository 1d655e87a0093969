package network

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRecordedInfo reads and writes what Nova's own node put into
// InstanceInfoCache, byte for byte.
func TestRecordedInfo(t *testing.T) {
	f, err := os.Open("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		info, err := ParseInfo(s.Text())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.Text(), info.JSON()); diff != "" {
			t.Error(diff)
		}
	}
	if lines < 5 {
		t.Errorf("only %d recordings", lines)
	}
}

func TestParseInfo(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "[]"},
		{"null", "null", "[]"},
		{"empty", "[]", "[]"},
		{"an old and short VIF", `[{"id": "p", "network": null}]`,
			`[{"id": "p", "address": "", "network": null, "type": null, "details": {}, "devname": null, "ovs_interfaceid": null, ` +
				`"qbh_params": null, "qbg_params": null, "active": false, "vnic_type": "normal", "profile": {}, ` +
				`"preserve_on_delete": false, "delegate_create": false, "meta": {}}]`},
		{"what we do not know goes to meta, as Nova's model has it", `[{"id": "p", "new": {"b": 1, "a": [2.50]}, "meta": {"rxtx_cap": null}, "qbh_params": {"profileid": "x"}}]`,
			`[{"id": "p", "address": "", "network": null, "type": null, "details": {}, "devname": null, "ovs_interfaceid": null, ` +
				`"qbh_params": {"profileid": "x"}, "qbg_params": null, "active": false, "vnic_type": "normal", "profile": {}, ` +
				`"preserve_on_delete": false, "delegate_create": false, "meta": {"rxtx_cap": null, "new": {"b": 1, "a": [2.50]}}}]`},
	} {
		info, err := ParseInfo(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, info.JSON()); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	for _, text := range []string{"{", "{}", "[1]", `[{"id": 1}]`, `[{"network": {"subnets": [{"ips": [{"version": "4"}]}]}}]`, `[{"details": []}]`} {
		if info, err := ParseInfo(text); err == nil || !strings.HasPrefix(err.Error(), "network info: ") {
			t.Errorf("%s: %v, %v", text, info, err)
		}
	}
	if got := Info(nil).JSON(); got != "[]" {
		t.Errorf("no info at all: %s", got)
	}
}

func TestInfoQuestions(t *testing.T) {
	info, err := ParseInfo(`[
		{"id": "12345678-abcd", "details": {"ovs_hybrid_plug": true, "port_filter": true, "datapath_type": "netdev", "physical_network": "detail"},
		 "profile": {"allocation": "rp"}, "network": {"id": "n", "label": "l", "meta": {"mtu": 1450, "tunneled": true, "tenant_id": "t", "injected": true},
		 "subnets": [{"cidr": "10.0.0.0/24", "ips": [{"address": "10.0.0.5", "floating_ips": [{"address": "1.2.3.4"}]}], "meta": {"dhcp_server": "10.0.0.2"}}]}},
		{"id": "other", "network": {"id": "n2", "meta": {"physical_network": "meta", "should_create_bridge": true}}}]`)
	if err != nil {
		t.Fatal(err)
	}
	v, n := info[0], info[0].Network
	if !v.HybridPlug() || !v.PortFilter() || v.Datapath() != "netdev" || v.HybridBridge() != "qbr12345678-ab" || !v.HasAllocation() {
		t.Errorf("details of %+v", v)
	}
	if n.MTU() != 1450 || !n.Tunneled() || n.TenantID() != "t" || !n.Injected() || n.ShouldCreateBridge() || *n.Label != "l" {
		t.Errorf("meta of %+v", n)
	}
	if n.Subnets[0].DHCPServer() != "10.0.0.2" || n.Subnets[0].Prefix().Bits() != 24 || n.Subnets[0].IPv6AddressMode() != "" {
		t.Errorf("subnet %+v", n.Subnets[0])
	}
	if v.PhysicalNetwork() != "detail" || info[1].PhysicalNetwork() != "meta" || !info[1].Network.ShouldCreateBridge() {
		t.Error("physical networks")
	}
	if ips := info.FixedIPs(); len(ips) != 1 || ips[0].Address != "10.0.0.5" || ips[0].FloatingIPs[0].Address != "1.2.3.4" {
		t.Errorf("addresses %+v", ips)
	}
	if info.Index("other") != 1 || info.Find("none") != nil || info.Find("other").ID != "other" || len(info.PortIDs()) != 2 {
		t.Error("finding VIFs")
	}
	if ips := (VIF{}).FixedIPs(); ips != nil {
		t.Errorf("addresses without a network: %v", ips)
	}
}

func TestDict(t *testing.T) {
	d, err := ParseDict([]byte(`{"b": 1, "a": {"z": 0, "y": "é"}, "s": "text", "t": true, "b": 2, "n": null}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.Names(), ""); got != "bastn" || d.Int("b") != 2 || d.Str("s") != "text" || !d.Bool("t") {
		t.Errorf("members %s of %+v", got, d)
	}
	if d.Str("b") != "" || d.Int("s") != 0 || d.Bool("s") || d.Has("n") || d.Has("x") || !d.Has("b") || d.Raw("x") != nil {
		t.Error("members of another type, or none")
	}
	var inner map[string]any
	if err := d.Decode("a", &inner); err != nil || inner["y"] != "é" {
		t.Errorf("decoded %v, %v", inner, err)
	}
	changed := d
	if err := changed.Set("s", "other"); err != nil {
		t.Fatal(err)
	}
	changed.Delete("a", "t")
	if d.Str("s") != "text" || !d.Has("a") {
		t.Error("changing a copy changed the original")
	}
	if raw, err := changed.MarshalJSON(); err != nil || string(raw) != `{"b":2,"s":"other","n":null}` {
		t.Errorf("written %s, %v", raw, err)
	}
	if err := changed.Set("bad", func() {}); err == nil {
		t.Error("a function became JSON")
	}
	for _, bad := range []string{"[]", "1", `{"a"`, `{"a": }`, "{"} {
		if _, err := ParseDict([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	raw, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		f.Add(line)
	}
	f.Add(`[{"id": "p", "x": "\u2028\ud83c\udf00\\", "network": {"subnets": [{"ips": [{}], "routes": [{"gateway": {}}]}]}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		info, err := ParseInfo(text)
		if err != nil {
			return
		}
		once := info.JSON()
		again, err := ParseInfo(once)
		if err != nil {
			t.Fatalf("own text is not read: %v\n%s", err, once)
		}
		if twice := again.JSON(); twice != once {
			t.Errorf("not stable:\n%s\n%s", once, twice)
		}
		for _, c := range []byte(once) {
			if c >= 0x7f {
				t.Fatalf("not ASCII: %q", once)
			}
		}
	})
}
