package network_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/cloud"
	"bolide/agent/network"
)

// TestEveryFailureOfABootIsUndone breaks each request of an allocation once: what
// was made must be gone, what was taken must be free.
func TestEveryFailureOfABootIsUndone(t *testing.T) {
	for _, mode := range []string{"refused", "answer lost", "record lost"} {
		for nth := 1; ; nth++ {
			n := newNeutron(t, cloud.ExtRouter)
			n.port("mine", nil)
			svc, id := n.open()
			records := &rows{}
			count, hit := 0, false
			strike := func(method string) bool {
				if method != http.MethodGet || mode == "refused" {
					count++
				}
				if count == nth && !hit {
					hit = true
					return true
				}
				return false
			}
			switch mode {
			case "refused":
				n.broken = func(method, _ string) int {
					if strike(method) {
						return 500
					}
					return 0
				}
			case "answer lost":
				n.deaf = func(method, _ string) bool { return method != http.MethodGet && strike(method) }
			case "record lost":
				records.fail, hit = errors.New("conductor is away"), nth == 1
			}
			if mode == "record lost" && nth > 1 {
				break
			}
			_, err := svc.Allocate(t.Context(), id, request(records, network.Requested{NetworkID: "net-a"}, network.Requested{PortID: "mine"}))
			if !hit {
				if err != nil {
					t.Errorf("%s: nothing failed, yet %v", mode, err)
				}
				break
			}
			if err == nil {
				t.Errorf("%s %d: no error", mode, nth)
			}
			mine := n.find("ports", "mine")
			if !slices.Equal(n.ports(), []string{"mine"}) || mine["device_id"] != "" || len(records.list) > 0 {
				t.Errorf("%s %d: left ports %v, mine %v, records %v, requests %q", mode, nth, n.ports(), mine, records.list, n.requests)
			}
		}
	}
}

func TestRequestsOfABoot(t *testing.T) {
	for user, want := range map[string][]string{
		"user": {
			"GET /extensions neutron", "GET /networks user", // what there is
			"GET /networks neutron", "GET /ports neutron", "GET /subnets neutron", "POST /ports user", // make, and read on
			"PUT /ports/port-1 neutron", // bind
		},
		"admin": {
			"GET /extensions neutron", "GET /networks admin",
			"GET /ports neutron", "GET /subnets neutron", "POST /ports admin",
		},
	} {
		n := newNeutron(t, cloud.ExtRouter)
		svc, id := n.open()
		id.Token = "token-" + user
		info, err := svc.Allocate(t.Context(), id, request(&rows{}, network.Requested{NetworkID: "net-a"}))
		if err != nil || len(info) != 1 || info[0].Type != network.TypeBridge || !info[0].Network.Tunneled() {
			t.Fatalf("%s: %s, %v", user, info.JSON(), err)
		}
		port := n.find("ports", "port-1")
		if port["device_id"] != instance || port["device_owner"] != "compute:zone" || port["binding:host_id"] != host || port["tenant_id"] != tenant {
			t.Errorf("%s: port %v", user, port)
		}
		// Requests side by side come in any order.
		slices.Sort(n.requests[:2])
		slices.Sort(n.requests[2:min(6, len(n.requests))])
		if diff := cmp.Diff(want, n.requests); diff != "" {
			t.Errorf("%s:\n%s", user, diff)
		}
	}
}

// TestAdminWhomNeutronDoesNotKnow falls back to two requests.
func TestAdminWhomNeutronDoesNotKnow(t *testing.T) {
	n := newNeutron(t)
	svc, id := n.open()
	id.Token = "token-admin"
	refused := false
	n.broken = func(method, _ string) int {
		if method == http.MethodPost && !refused {
			refused = true
			return http.StatusForbidden
		}
		return 0
	}
	info, err := svc.Allocate(t.Context(), id, request(&rows{}, network.Requested{NetworkID: "net-a"}))
	if err != nil || len(info) != 1 || n.asked("POST") != 2 || n.asked("PUT") != 1 {
		t.Errorf("%s, %v, %q", info.JSON(), err, n.requests)
	}
}

func TestWhichNetwork(t *testing.T) {
	second := object{"id": "net-b", "name": "b", "tenant_id": "somebody", "shared": true, "subnets": []string{"sub-b"}}
	for _, c := range []struct {
		name      string
		prepare   func(*neutron)
		requested []network.Requested
		ports     int
		class     network.Class
	}{
		{"the only one", nil, nil, 1, ""},
		{"the only one, unspecified", nil, []network.Requested{{Tag: "x"}}, 1, ""},
		{"one of two", func(n *neutron) { n.add("networks", maps.Clone(second)) }, nil, 0, network.NetworkAmbiguous},
		{"none there", func(n *neutron) { n.lists["networks"] = nil }, nil, 0, ""},
		{"none there, unspecified", func(n *neutron) { n.lists["networks"] = nil }, []network.Requested{{}}, 0, network.InterfaceAttachFailedNoNetwork},
		{"none wanted", nil, []network.Requested{{NetworkID: network.NetworkNone}}, 0, ""},
		{"automatic, there", nil, []network.Requested{{NetworkID: network.NetworkAuto}}, 1, ""},
		{"automatic, made", func(n *neutron) { n.lists["networks"][0]["tenant_id"] = "later" }, []network.Requested{{NetworkID: network.NetworkAuto}}, 1, ""},
		{"automatic, impossible", func(n *neutron) {
			n.lists["networks"][0]["tenant_id"] = "later"
			n.broken = func(_, path string) int {
				if strings.HasPrefix(path, "/auto") {
					return http.StatusConflict
				}
				return 0
			}
		}, []network.Requested{{NetworkID: network.NetworkAuto}}, 0, network.UnableToAutoAllocateNetwork},
		{"external", func(n *neutron) { n.lists["networks"][0]["router:external"] = true }, []network.Requested{{NetworkID: "net-a"}}, 0, network.ExternalNetworkAttachForbidden},
		{"external and shared", func(n *neutron) {
			n.lists["networks"][0]["router:external"], n.lists["networks"][0]["shared"] = true, true
		}, []network.Requested{{NetworkID: "net-a"}}, 1, ""},
		{"without a subnet", func(n *neutron) { n.lists["networks"][0]["subnets"] = []string{} }, []network.Requested{{NetworkID: "net-a"}}, 0, network.SecurityGroupCannotBeApplied},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNeutron(t)
			if c.prepare != nil {
				c.prepare(n)
			}
			svc, id := n.open()
			records := &rows{}
			info, err := svc.Allocate(t.Context(), id, request(records, c.requested...))
			if c.class == "" && err != nil || c.class != "" && !network.Is(err, c.class) {
				t.Fatalf("error %v, want %q", err, c.class)
			}
			if len(info) != c.ports || len(n.ports()) != c.ports || len(records.list) != c.ports {
				t.Errorf("%d VIFs, ports %v, records %v", len(info), n.ports(), records.list)
			}
			if c.name == "the only one, unspecified" && records.list[0].Tag != "x" {
				t.Errorf("tag was lost: %v", records.list)
			}
		})
	}
}

func TestWhichPort(t *testing.T) {
	for _, c := range []struct {
		name  string
		port  object
		class network.Class
	}{
		{"free", nil, ""},
		{"somebody else's", object{"tenant_id": "other"}, network.PortNotUsable},
		{"taken", object{"device_id": "another"}, network.PortInUse},
		{"named as the guest", object{"dns_name": "guest"}, ""},
		{"named otherwise", object{"dns_name": "web"}, network.PortNotUsableDNS},
		{"not bindable", object{"binding:vif_type": "binding_failed"}, network.PortBindingFailed},
	} {
		n := newNeutron(t)
		n.port("mine", c.port)
		svc, id := n.open()
		info, err := svc.Allocate(t.Context(), id, request(&rows{}, network.Requested{PortID: "mine"}))
		if c.class == "" && (err != nil || !info[0].PreserveOnDelete) || c.class != "" && !network.Is(err, c.class) {
			t.Errorf("%s: %s, %v", c.name, info.JSON(), err)
		}
	}
}

func TestSecurityGroups(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
		class network.Class
	}{
		{nil, "<nil>", ""},
		{[]string{"default"}, "<nil>", ""},
		{[]string{"web", "id-db"}, "[id-web id-db]", ""},
		{[]string{"id-web"}, "[id-odd]", ""}, // a name goes before an id
		{[]string{"twice"}, "", network.NoUniqueMatch},
		{[]string{"web", "none"}, "", network.SecurityGroupNotFound},
	} {
		n := newNeutron(t)
		for id, name := range map[string]string{"id-web": "web", "id-db": "db", "id-odd": "id-web", "id-1": "twice", "id-2": "twice"} {
			n.add("security_groups", object{"id": id, "name": name, "tenant_id": tenant})
		}
		n.add("security_groups", object{"id": "id-3", "name": "none", "tenant_id": "other"})
		svc, id := n.open()
		r := request(&rows{}, network.Requested{NetworkID: "net-a"})
		r.SecurityGroups = c.names
		_, err := svc.Allocate(t.Context(), id, r)
		if c.class != "" {
			if !network.Is(err, c.class) || len(n.ports()) > 0 {
				t.Errorf("%v: %v", c.names, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", c.names, err)
			continue
		}
		if got := fmt.Sprint(n.find("ports", "port-1")["security_groups"]); got != c.want {
			t.Errorf("%v: groups %s, want %s", c.names, got, c.want)
		}
		names, err := svc.SecurityGroupNames(t.Context(), id, instance, tenant)
		if err != nil || len(c.names) == 2 && !slices.Equal(names, []string{"db", "web"}) {
			t.Errorf("%v: names %v, %v", c.names, names, err)
		}
	}

	open := newNeutron(t)
	open.lists["networks"][0]["port_security_enabled"] = false
	open.add("security_groups", object{"id": "id-web", "name": "web", "tenant_id": tenant})
	svc, id := open.open()
	r := request(&rows{}, network.Requested{NetworkID: "net-a"})
	r.SecurityGroups = []string{"web"}
	if _, err := svc.Allocate(t.Context(), id, r); !network.Is(err, network.SecurityGroupCannotBeApplied) {
		t.Errorf("groups without port security: %v", err)
	}
}

func TestDNSNames(t *testing.T) {
	for _, c := range []struct {
		domain, by string
	}{{"", "neutron"}, {"example.org.", "user"}} {
		n := newNeutron(t, cloud.ExtDNS)
		n.lists["networks"][0]["dns_domain"] = c.domain
		n.port("mine", nil)
		svc, id := n.open()
		info, err := svc.Allocate(t.Context(), id, request(&rows{}, network.Requested{PortID: "mine"}))
		if err != nil {
			t.Fatal(err)
		}
		updates := 1
		if c.domain != "" {
			updates = 2
		}
		if got := n.find("ports", "mine")["dns_name"]; got != "guest" || n.asked("PUT /ports/mine") != updates {
			t.Errorf("domain %q: name %v after %q", c.domain, got, n.requests)
		}
		if last := n.requests[len(n.requests)-1]; last != "PUT /ports/mine "+c.by {
			t.Errorf("domain %q: last request %s", c.domain, last)
		}
		err = svc.Deallocate(t.Context(), id, network.DeallocateRequest{InstanceUUID: instance, ProjectID: tenant, Current: info, Records: &rows{}})
		if last := n.requests[len(n.requests)-1]; err != nil || n.find("ports", "mine")["dns_name"] != "" || last != "PUT /ports/mine "+c.by {
			t.Errorf("domain %q: %v, last request %s", c.domain, err, last)
		}
	}

	n := newNeutron(t, cloud.ExtDNS)
	n.lists["networks"][0]["dns_domain"] = "example.org."
	svc, id := n.open()
	n.broken = func(method, path string) int {
		if method == http.MethodPut && n.asked("PUT /ports/port-1 user") > 0 {
			return http.StatusBadRequest
		}
		return 0
	}
	if _, err := svc.Allocate(t.Context(), id, request(&rows{}, network.Requested{NetworkID: "net-a"})); !network.Is(err, network.InvalidInput) {
		t.Errorf("bad name: %v", err)
	}
}

func TestDevicesAndBandwidth(t *testing.T) {
	grouped := object{"request_groups": []object{{"id": "g1", "resources": object{"NET_BW_EGR_KILOBIT_PER_SEC": 1000}}}}
	single := object{"resources": object{"NET_BW_EGR_KILOBIT_PER_SEC": 1000}}
	for _, c := range []struct {
		name    string
		ext     []string
		request object
		mapping map[string][]string
		want    string
	}{
		{"groups", []string{cloud.ExtResourceGroups}, grouped, map[string][]string{"g1": {"rp"}}, "map[g1:rp]"},
		{"one request", nil, single, map[string][]string{"mine": {"rp"}}, "rp"},
		{"nobody gives it", nil, single, nil, ""},
	} {
		n := newNeutron(t, c.ext...)
		n.port("mine", object{"resource_request": c.request, "binding:profile": object{"trusted": true, "pci_slot": "old"}})
		svc, id := n.open()
		var device network.Dict
		if err := errors.Join(device.Set("pci_slot", "0000:03:00.1"), device.Set("pci_vendor_info", "8086:10ed")); err != nil {
			t.Fatal(err)
		}
		r := request(&rows{}, network.Requested{PortID: "mine", Profile: device, MAC: "52:54:00:00:00:01"})
		r.ProviderMapping = c.mapping
		info, err := svc.Allocate(t.Context(), id, r)
		if c.want == "" {
			if !network.Is(err, network.PortUpdateFailed) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		port := n.find("ports", "mine")
		profile := port["binding:profile"].(object)
		if fmt.Sprint(profile["allocation"]) != c.want || profile["trusted"] != true || profile["pci_slot"] != "0000:03:00.1" || !info[0].HasAllocation() {
			t.Errorf("%s: profile %v", c.name, profile)
		}
		if port["mac_address"] != "52:54:00:00:00:01" || info[0].Address != "52:54:00:00:00:01" {
			t.Errorf("%s: address %v", c.name, port["mac_address"])
		}
		left, err := svc.DeallocatePort(t.Context(), id, network.DeallocatePortRequest{
			InstanceUUID: instance, ProjectID: tenant, PortID: "mine", Current: info, Records: &rows{},
		})
		if err != nil || left.Freed["rp"]["NET_BW_EGR_KILOBIT_PER_SEC"] != 1000 || len(left.Info) != 0 {
			t.Errorf("%s: freed %v, %v", c.name, left.Freed, err)
		}
		if got := n.find("ports", "mine")["binding:profile"]; !cmp.Equal(got, object{"trusted": true}) {
			t.Errorf("%s: profile left %v", c.name, got)
		}
	}
}

// TestNetworkWithBandwidth refuses a new port on a network with a QoS policy:
// nobody scheduled for it.
func TestNetworkWithBandwidth(t *testing.T) {
	n := newNeutron(t)
	n.lists["networks"][0]["qos"] = object{"resources": object{"NET_BW_EGR_KILOBIT_PER_SEC": 1}}
	svc, id := n.open()
	_, err := svc.Allocate(t.Context(), id, request(&rows{}, network.Requested{NetworkID: "net-a"}))
	if !network.Is(err, network.NetworksWithQoSNotSupported) || len(n.ports()) > 0 {
		t.Errorf("error %v, ports %v", err, n.ports())
	}
}
