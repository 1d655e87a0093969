package controller

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"bolide/rpc/nova"
)

// TestEverythingSurvivesARestart: a control plane that is started again in the
// same directory knows what the first one did.
func TestEverythingSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first := newCloud(t, dir)
	n := first.newNode("vm")
	id := first.boot(nil)
	n.expect("build_and_run_instance")
	n.activate(id)
	first.stop()

	second := newCloud(t, dir)
	if v := second.show(id); v.Status != "ACTIVE" || v.Host != "vm" {
		t.Errorf("after the restart: %+v", v)
	}
	if second.image != first.image || second.flavor != first.flavor || second.network != first.network {
		t.Error("image, flavor or network was made anew")
	}
	usage, err := second.Placement.Usage(n.uuid)
	if err != nil || usage.Used["MEMORY_MB"] != 192 {
		t.Errorf("allocations: %+v, %v", usage, err)
	}
	second.act(id, "pause", nil)
	n.expect("pause_instance")
}

// TestPortsAreToldOf: Nova's node hears of a port that was bound and plugged, and
// of its end.
func TestPortsAreToldOf(t *testing.T) {
	c := newCloud(t, t.TempDir())
	n := c.newNode("vm")
	id := c.boot(nil)
	n.expect("build_and_run_instance")
	n.activate(id)
	var made struct{ Port struct{ ID string } }
	c.must(http.MethodPost, c.URL("network")+"/v2.0/ports", map[string]any{"port": map[string]any{
		"network_id": c.network, "device_id": id, "device_owner": "compute:nova", "binding:host_id": "vm",
	}}, &made)
	port := c.URL("network") + "/v2.0/ports/" + made.Port.ID
	want := []string{"network-changed", "network-vif-plugged"}
	var told []string
	for range want {
		r := n.expect("external_instance_event")
		events := nova.NewArgs(r.Args).Events("events")
		if len(events) != 1 || events[0].Str("tag") != made.Port.ID || events[0].Str("instance_uuid") != id {
			t.Fatalf("%d events of port %s, instance %s", len(events), events[0].Str("tag"), events[0].Str("instance_uuid"))
		}
		told = append(told, events[0].Str("name"))
	}
	if slices.Sort(told); !slices.Equal(told, want) { // casts are served side by side
		t.Errorf("events %v, want %v", told, want)
	}
	var shown struct {
		Port struct {
			Status  string
			VIFType string `json:"binding:vif_type"`
		}
	}
	c.must(http.MethodGet, port, nil, &shown)
	if shown.Port.Status != "ACTIVE" || shown.Port.VIFType != "bridge" {
		t.Errorf("port %+v", shown.Port)
	}
	c.must(http.MethodDelete, port, nil, nil)
	events := nova.NewArgs(n.expect("external_instance_event").Args).Events("events")
	if events[0].Str("name") != "network-vif-deleted" {
		t.Errorf("event %s", events[0].Str("name"))
	}
}

func TestNoRoomIsAFault(t *testing.T) {
	c := newCloud(t, t.TempDir())
	c.newNode("vm")
	var made struct{ Flavor struct{ ID string } }
	c.must(http.MethodPost, c.URL("compute")+"/flavors", map[string]any{"flavor": map[string]any{"name": "huge", "ram": 1 << 20, "vcpus": 1, "disk": 1}}, &made)
	id := c.boot(map[string]any{"flavorRef": made.Flavor.ID})
	if v := c.show(id); v.Status != "ERROR" || v.Fault.Message == "" {
		t.Errorf("server %+v", v)
	}
	c.must(http.MethodDelete, c.servers()+"/"+id, nil, nil)
	if status := c.ask(http.MethodGet, c.servers()+"/"+id, nil, nil); status != http.StatusNotFound {
		t.Errorf("deleted, but answered with %d", status)
	}
}

// TestBuildsGoElsewhere: a node that cannot build gives the instance back, and
// another gets it; when none is left it is in error.
func TestBuildsGoElsewhere(t *testing.T) {
	c := newCloud(t, t.TempDir())
	one := c.newNode("one")
	two := c.newNode("two")
	id := c.boot(nil)
	first, second := one, two
	r := first.expect("build_and_run_instance")
	give := func(n *playedNode, hosts ...string) {
		t.Helper()
		tried := []any{}
		for _, h := range hosts {
			tried = append(tried, []any{h, h})
		}
		args := nova.NewArgs(r.Args)
		err := n.cond.With(r.Context).BuildInstances(t.Context(), map[string]any{
			"instances": []any{args.Instance("instance")}, "image": args.Dict("image"), "admin_password": "", "injected_files": []any{},
			"filter_properties":  map[string]any{"retry": map[string]any{"num_attempts": len(hosts), "hosts": tried}},
			"requested_networks": args.Raw("requested_networks"), "security_groups": []string{"default"}, "request_spec": args.Raw("request_spec"),
			"host_lists": []any{[]any{}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	give(first, "one")
	if got := nova.NewArgs(second.expect("build_and_run_instance").Args).Str("node"); got != "two" {
		t.Errorf("built again on %s", got)
	}
	give(second, "one", "two")
	deadline := time.Now().Add(20 * time.Second) // it was a cast: nobody says when it is done
	for c.show(id).Status != "ERROR" {
		if time.Now().After(deadline) {
			t.Fatalf("server %+v", c.show(id))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestActionsNeedTheRightState(t *testing.T) {
	c := newCloud(t, t.TempDir())
	n := c.newNode("vm")
	id := c.boot(nil)
	n.expect("build_and_run_instance")
	url := c.servers() + "/" + id + "/action"
	if status := c.ask(http.MethodPost, url, map[string]any{"pause": nil}, nil); status != http.StatusConflict {
		t.Errorf("pause while building: %d", status)
	}
	n.activate(id)
	for action, want := range map[string]int{"unpause": http.StatusConflict, "confirmResize": http.StatusConflict, "fly": http.StatusBadRequest} {
		if status := c.ask(http.MethodPost, url, map[string]any{action: nil}, nil); status != want {
			t.Errorf("%s: %d, want %d", action, status, want)
		}
	}
	c.act(id, "pause", nil)
	if status := c.ask(http.MethodPost, url, map[string]any{"os-stop": nil}, nil); status != http.StatusConflict {
		t.Errorf("stop while pausing: %d", status)
	}
	// Deleting goes always, and what the node still saves of the pause fails.
	c.must(http.MethodDelete, c.servers()+"/"+id, nil, nil)
	err := n.trySave(id, map[string]any{"vm_state": "paused"}, nova.ExpectTask(nova.TaskPausing))
	if !nova.Is(err, "UnexpectedDeletingTaskStateError") {
		t.Errorf("save: %v", err)
	}
}
