package network_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/cloud"
	"bolide/agent/network"
)

// guest adds two ports of the instance, bound to this host, and their VIFs.
func guest(n *neutron, more object) network.Info {
	var info network.Info
	for _, id := range []string{"one", "two"} {
		p := n.port(id, object{
			"device_id": instance, "device_owner": "compute:zone", "binding:host_id": host, "binding:vif_type": "bridge",
			"fixed_ips": []object{{"subnet_id": "sub-a", "ip_address": "10.0.0.2" + map[string]string{"one": "1", "two": "2"}[id]}},
		})
		for name, v := range more {
			p[name] = v
		}
		info = append(info, network.VIF{ID: id, VNICType: network.VNICNormal, Type: network.TypeBridge})
	}
	return info
}

func TestBindings(t *testing.T) {
	n := newNeutron(t, cloud.ExtBindings)
	info := guest(n, nil)
	svc, id := n.open()
	ctx := t.Context()
	if err := svc.ActivateBindings(ctx, id, "other", info); err != nil || n.asked("PUT") > 0 {
		t.Errorf("activate without bindings: %v, %q", err, n.requests)
	}
	bindings, err := svc.BindPorts(ctx, id, "other", info)
	if err != nil || len(bindings) != 2 || bindings["two"].VIFType != network.TypeBridge || bindings["one"].Host != "other" {
		t.Fatalf("bindings %+v, %v", bindings, err)
	}
	for range 2 { // the second time they are active
		if err := svc.ActivateBindings(ctx, id, "other", info); err != nil {
			t.Error(err)
		}
	}
	if n.bindings["one"]["other"]["status"] != "ACTIVE" || n.asked("PUT") != 2 {
		t.Errorf("bindings %v after %q", n.bindings, n.requests)
	}
	for range 2 { // the second time they are gone
		if err := svc.DeleteBindings(ctx, id, "other", info.PortIDs()); err != nil {
			t.Error(err)
		}
	}
	if len(n.bindings["one"])+len(n.bindings["two"]) > 0 {
		t.Errorf("left %v", n.bindings)
	}

	n.broken = func(method, path string) int {
		if method == http.MethodPost && path == "/ports/two/bindings" {
			return 500
		}
		return 0
	}
	if _, err := svc.BindPorts(ctx, id, "other", info); !network.Is(err, network.PortBindingFailed) || len(n.bindings["one"]) > 0 {
		t.Errorf("half bound: %v, left %v", err, n.bindings)
	}
	n.broken = func(method, _ string) int {
		if method == http.MethodDelete {
			return 500
		}
		return 0
	}
	if err := svc.DeleteBindings(ctx, id, "other", info.PortIDs()); !network.Is(err, network.PortBindingDeletionFailed) {
		t.Errorf("delete: %v", err)
	}
}

func TestActivationThatFails(t *testing.T) {
	n := newNeutron(t, cloud.ExtBindings)
	info := guest(n, nil)
	svc, id := n.open()
	if _, err := svc.BindPorts(t.Context(), id, "other", info); err != nil {
		t.Fatal(err)
	}
	status := 0
	n.broken = func(method, _ string) int {
		if method == http.MethodPut {
			return status
		}
		return 0
	}
	for code, fails := range map[int]bool{500: true, http.StatusConflict: false} {
		status = code
		err := svc.ActivateBindings(t.Context(), id, "other", info)
		if network.Is(err, network.PortBindingActivationFailed) != fails {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestMigrationNotes(t *testing.T) {
	n := newNeutron(t, cloud.ExtBindings)
	info := guest(n, object{"binding:profile": object{"trusted": true}})
	svc, id := n.open()
	ctx := t.Context()
	move := network.MigrationRequest{InstanceUUID: instance, ProjectID: tenant, InstanceHost: host, Host: "other"}
	for range 2 { // the second time it is noted already
		if err := svc.StartMigration(ctx, id, move); err != nil {
			t.Fatal(err)
		}
	}
	want := object{"trusted": true, "migrating_to": "other"}
	if got := n.find("ports", "two")["binding:profile"]; !cmp.Equal(got, want) || n.asked("PUT") != 2 {
		t.Errorf("profile %v after %q", got, n.requests)
	}
	if _, err := svc.BindPorts(ctx, id, "other", info); err != nil {
		t.Fatal(err)
	}
	if err := svc.CancelMigration(ctx, id, move); err != nil {
		t.Error(err)
	}
	if got := n.find("ports", "two")["binding:profile"]; !cmp.Equal(got, object{"trusted": true}) || len(n.bindings["two"]) > 0 {
		t.Errorf("profile %v, bindings %v", got, n.bindings)
	}
	before := len(n.requests)
	move.Host = host
	if err := svc.StartMigration(ctx, id, move); err != nil || len(n.requests) != before {
		t.Errorf("a move to the same host: %v, %q", err, n.requests[before:])
	}
}

func TestBindHost(t *testing.T) {
	for _, c := range []struct {
		name    string
		port    object
		request network.HostRequest
		updates int
		want    object
	}{
		{"there already", nil, network.HostRequest{Host: host}, 0, object{}},
		{"to another host", object{"binding:profile": object{"migrating_to": "other", "a": "b"}}, network.HostRequest{Host: "other"}, 2, object{"a": "b"}},
		{"repaired", object{"binding:vif_type": "binding_failed"}, network.HostRequest{Host: host}, 2, object{}},
		{"with another device", nil, network.HostRequest{Host: host, Profiles: map[string]network.Dict{"one": pciSlot(t, "0000:04:00.0")}}, 1, object{}},
		{"live, where the conductor has done that", nil,
			network.HostRequest{Host: host, LiveMigration: true, Profiles: map[string]network.Dict{"one": pciSlot(t, "0000:04:00.0")}}, 0, object{}},
	} {
		n := newNeutron(t)
		guest(n, c.port)
		svc, id := n.open()
		c.request.InstanceUUID, c.request.ProjectID, c.request.AvailabilityZone = instance, tenant, "there"
		if err := svc.BindHost(t.Context(), id, c.request); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		port := n.find("ports", "two")
		if n.asked("PUT") != c.updates || port["binding:host_id"] != c.request.Host || !cmp.Equal(port["binding:profile"], c.want) {
			t.Errorf("%s: port %v after %q", c.name, port, n.requests)
		}
		if c.name == "to another host" && port["device_owner"] != "compute:there" {
			t.Errorf("%s: owner %v", c.name, port["device_owner"])
		}
	}

	n := newNeutron(t)
	guest(n, nil)
	svc, id := n.open()
	err := svc.BindHost(t.Context(), id, network.HostRequest{InstanceUUID: instance, ProjectID: tenant, Host: "nowhere"})
	if !network.Is(err, network.PortBindingFailed) {
		t.Errorf("to a host without an agent: %v", err)
	}

	n = newNeutron(t) // the other may still serve a request that the error has cut off
	guest(n, nil)
	svc, id = n.open()
	n.port("wide", object{"device_id": instance, "resource_request": object{"resources": object{"X": 1}}})
	err = svc.BindHost(t.Context(), id, network.HostRequest{InstanceUUID: instance, ProjectID: tenant, Host: "other"})
	if !network.Is(err, network.PortUpdateFailed) || n.asked("PUT") != 0 {
		t.Errorf("without a provider for the bandwidth: %v, %q", err, n.requests)
	}
}

func pciSlot(t *testing.T, address string) network.Dict {
	t.Helper()
	var d network.Dict
	if err := d.Set("pci_slot", address); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRefreshKeepsOrder(t *testing.T) {
	n := newNeutron(t)
	cached := guest(n, nil)
	cached[1].PreserveOnDelete = true
	n.port("strange", object{"device_id": instance, "tenant_id": "somebody else"})
	n.port("new", object{"device_id": instance})
	svc, id := n.open()
	slices.Reverse(cached)
	cached = append(cached, network.VIF{ID: "gone", VNICType: network.VNICNormal})
	for _, c := range []struct {
		name    string
		request network.RefreshRequest
		want    []string
	}{
		{"as cached", network.RefreshRequest{Current: cached}, []string{"two", "one"}},
		{"by records", network.RefreshRequest{Current: cached, Records: &rows{list: []network.VIFRecord{{UUID: "gone"}, {UUID: "new"}, {UUID: "one"}}}}, []string{"new", "one", "two"}},
		{"one that is gone", network.RefreshRequest{Current: cached, PortID: "gone"}, []string{"two", "one"}},
		{"one that is new", network.RefreshRequest{Current: cached, PortID: "new"}, []string{"two", "one", "gone", "new"}},
		{"one that was never there", network.RefreshRequest{Current: cached, PortID: "strange"}, []string{"two", "one", "gone"}},
		{"one of an empty cache", network.RefreshRequest{PortID: "new"}, []string{"new"}},
		{"an empty cache", network.RefreshRequest{}, []string{"one", "two", "new"}},
	} {
		c.request.InstanceUUID, c.request.ProjectID = instance, tenant
		info, err := svc.Refresh(t.Context(), id, c.request)
		if err != nil || !slices.Equal(info.PortIDs(), c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, info.PortIDs(), err, c.want)
		}
		if two := info.Find("two"); len(c.request.Current) > 0 && two != nil && !two.PreserveOnDelete {
			t.Errorf("%s: the origin of a port was forgotten", c.name)
		}
	}
	if cached[2].ID != "gone" || len(cached) != 3 || cached[0].Network != nil {
		t.Errorf("the cached information was changed: %v", cached.PortIDs())
	}
}

func TestDeallocate(t *testing.T) {
	prepare := func() (*neutron, network.DeallocateRequest) {
		n := newNeutron(t)
		info := guest(n, object{"binding:profile": object{"pci_slot": "x", "trusted": true}})
		n.port("asked", object{"device_id": instance})
		n.port("strange", object{"device_id": instance, "tenant_id": "somebody else"})
		info[1].PreserveOnDelete = true
		return n, network.DeallocateRequest{
			InstanceUUID: instance, ProjectID: tenant, Current: info, Requested: []network.Requested{{PortID: "asked"}, {NetworkID: "net-a"}},
			Records: &rows{list: []network.VIFRecord{{UUID: "one"}}},
		}
	}
	n, r := prepare()
	svc, id := n.open()
	if err := svc.Deallocate(t.Context(), id, r); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(n.ports(), []string{"two", "asked", "strange"}) || len(r.Records.(*rows).list) > 0 {
		t.Errorf("left %v, %v", n.ports(), r.Records)
	}
	two := n.find("ports", "two")
	if two["device_id"] != "" || two["device_owner"] != "" || two["binding:host_id"] != "" || !cmp.Equal(two["binding:profile"], object{"trusted": true}) {
		t.Errorf("freed port %v", two)
	}
	if n.find("ports", "strange")["device_id"] != instance {
		t.Error("a stranger's port was touched")
	}

	n, r = prepare() // ports that cannot be freed do not hold up the delete
	n.broken = func(method, _ string) int {
		if method == http.MethodPut {
			return 500
		}
		return 0
	}
	svc, id = n.open()
	if err := svc.Deallocate(t.Context(), id, r); err != nil || n.find("ports", "one") != nil {
		t.Errorf("error %v, left %v", err, n.ports())
	}

	n, r = prepare() // ports that cannot be deleted are an error, and the records stay
	n.broken = func(method, _ string) int {
		if method == http.MethodDelete {
			return 500
		}
		return 0
	}
	svc, id = n.open()
	if err := svc.Deallocate(t.Context(), id, r); !cloud.IsStatus(err, 500) || len(r.Records.(*rows).list) != 1 {
		t.Errorf("error %v, records %v", err, r.Records)
	}

	before := len(n.requests)
	r.Requested = []network.Requested{{NetworkID: network.NetworkNone}}
	if err := svc.Deallocate(t.Context(), id, r); err != nil || len(n.requests) != before {
		t.Errorf("without networks: %v, %q", err, n.requests[before:])
	}
}
