package network_test

import (
	"context"
	"flag"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
	"bolide/agent/cloud/cloudtest"
	"bolide/agent/network"
)

var update = flag.Bool("update", false, "write the golden files")

// The recordings were made with a user that has the role member in a project of
// the same name, an administrator, and the lab's host.
const (
	member   = "bolide-rec"
	admin    = "admin"
	host     = "vm"
	instance = "b01de000-0000-4000-8000-0000000000a1"
)

// rows are an instance's VIF records in memory.
type rows struct {
	list []network.VIFRecord
	fail error // of CreateVIF
}

func (r *rows) CreateVIF(_ context.Context, v network.VIFRecord) error {
	if r.fail != nil {
		return r.fail
	}
	r.list = append(r.list, v)
	return nil
}

func (r *rows) DeleteVIF(_ context.Context, _, portID string) error {
	r.list = slices.DeleteFunc(r.list, func(v network.VIFRecord) bool { return v.UUID == portID })
	return nil
}

func (r *rows) DeleteVIFs(context.Context, string) error {
	r.list = nil
	return nil
}

func (r *rows) ListVIFs(context.Context, string) ([]network.VIFRecord, error) { return r.list, nil }

func quiet() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".golden"
	if *update {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
		t.Errorf("%s:\n%s", file, diff)
	}
}

func findNetwork(t *testing.T, c *cloud.Cloud, id cloud.Identity, name string) string {
	t.Helper()
	networks, err := c.Network().ListNetworks(t.Context(), id, cloud.Filter{"name": {name}})
	if err != nil || len(networks) != 1 {
		t.Fatalf("networks %v, %v", networks, err)
	}
	return networks[0].ID
}

// TestBootOfAUser makes one port in the user's name, takes another, and binds
// both in the node's name.
func TestBootOfAUser(t *testing.T) {
	world := cloudtest.New(t, "boot_user")
	clients, id := world.Open(), world.User(member)
	svc := network.New(clients.Network(), host, network.Options{Log: quiet()})
	net1 := findNetwork(t, clients, id, "net1")
	mine, err := clients.Network().CreatePort(t.Context(), id, cloud.Attributes{"network_id": net1, "name": "bolide-rec"})
	if err != nil {
		t.Fatal(err)
	}
	records := &rows{}
	info, err := svc.Allocate(t.Context(), id, network.AllocateRequest{
		InstanceUUID: instance, ProjectID: id.ProjectID, Hostname: "guest", AvailabilityZone: "nova",
		Requested: []network.Requested{{NetworkID: net1, Tag: "front"}, {PortID: mine.ID}},
		Records:   records, SecurityGroups: []string{"default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "boot_user", info.JSON())
	if len(records.list) != 2 || records.list[0].Tag != "front" || records.list[0].UUID != info[0].ID ||
		records.list[0].Address != info[0].Address+"/"+info[0].ID || records.list[1].InstanceUUID != instance {
		t.Errorf("records %+v", records.list)
	}

	lost := network.RefreshRequest{InstanceUUID: instance, ProjectID: id.ProjectID, Records: records}
	healed, err := svc.Refresh(t.Context(), id, lost)
	if err != nil || !slices.Equal(healed.PortIDs(), info.PortIDs()) {
		t.Errorf("healed %v, %v", healed.PortIDs(), err)
	}
	one := network.RefreshRequest{InstanceUUID: instance, ProjectID: id.ProjectID, Current: info, PortID: info[1].ID}
	fresh, err := svc.Refresh(t.Context(), id, one)
	if err != nil || !slices.Equal(fresh.PortIDs(), info.PortIDs()) {
		t.Errorf("refreshed %v, %v", fresh.PortIDs(), err)
	}
	if info[1].Details.Has("bound_drivers") || !fresh[1].Details.Has("bound_drivers") || fresh[0].Details.Has("bound_drivers") {
		t.Error("not only the port named was read anew")
	}

	done := network.DeallocateRequest{InstanceUUID: instance, ProjectID: id.ProjectID, Current: fresh, Records: records}
	for range 2 { // the second time nothing is left to do
		if err := svc.Deallocate(t.Context(), id, done); err != nil {
			t.Error(err)
		}
	}
	if len(records.list) != 0 {
		t.Errorf("records left: %+v", records.list)
	}
	if gone, err := svc.Refresh(t.Context(), id, one); err != nil || len(gone) != 1 {
		t.Errorf("after the delete: %v, %v", gone, err)
	}
	free, err := clients.Network().ShowPort(t.Context(), id, mine.ID)
	if err != nil || free.DeviceID != "" {
		t.Errorf("port %+v, %v", free, err)
	}
	if err := clients.Network().DeletePort(t.Context(), id, mine.ID); err != nil {
		t.Error(err)
	}
}

// TestPortsComeAndGo attaches a port that existed before to a guest with one,
// changes its addresses, and takes it off again.
func TestPortsComeAndGo(t *testing.T) {
	world := cloudtest.New(t, "attach")
	clients, id := world.Open(), world.User(admin)
	ctx := t.Context()
	svc := network.New(clients.Network(), host, network.Options{Log: quiet()})
	net1 := findNetwork(t, clients, id, "net1")
	records := &rows{}
	request := network.AllocateRequest{
		InstanceUUID: instance, ProjectID: id.ProjectID, Hostname: "guest", AvailabilityZone: "nova", AllowExternal: true,
		Requested: []network.Requested{{NetworkID: net1}}, Records: records,
	}
	info, err := svc.Allocate(ctx, id, request)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := clients.Network().CreatePort(ctx, id, cloud.Attributes{"network_id": net1, "name": "bolide-rec"})
	if err != nil {
		t.Fatal(err)
	}
	request.Requested, request.Current = []network.Requested{{PortID: mine.ID, Tag: "back"}}, info
	attached, err := svc.AllocatePort(ctx, id, request)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "attach", attached.All.JSON())
	if len(attached.New) != 1 || attached.New[0].ID != mine.ID || !attached.New[0].PreserveOnDelete || attached.All[0].PreserveOnDelete {
		t.Errorf("new %s", attached.New.JSON())
	}
	if _, err := svc.AllocatePort(ctx, id, request); !network.Is(err, network.PortInUse) {
		t.Errorf("attach again: %v", err)
	}

	change := network.FixedIPRequest{
		InstanceUUID: instance, ProjectID: id.ProjectID, AvailabilityZone: "nova", NetworkID: net1, Current: attached.All,
	}
	more, err := svc.AddFixedIP(ctx, id, change)
	if err != nil || len(more.FixedIPs()) != 3 {
		t.Fatalf("addresses %v, %v", more.FixedIPs(), err)
	}
	change.Current, change.Address = more, more.FixedIPs()[2].Address
	fewer, err := svc.RemoveFixedIP(ctx, id, change)
	if err != nil || len(fewer.FixedIPs()) != 2 {
		t.Errorf("addresses %v, %v", fewer.FixedIPs(), err)
	}
	if _, err := svc.RemoveFixedIP(ctx, id, change); !network.Is(err, network.FixedIPNotFoundForInstance) {
		t.Errorf("remove again: %v", err)
	}

	detach := network.DeallocatePortRequest{InstanceUUID: instance, ProjectID: id.ProjectID, PortID: mine.ID, Current: fewer, Records: records}
	left, err := svc.DeallocatePort(ctx, id, detach)
	if err != nil || len(left.Info) != 1 || left.Info[0].ID != info[0].ID || len(left.Freed) != 0 || len(records.list) != 1 {
		t.Errorf("left %s, %v", left.Info.JSON(), err)
	}
	free, err := clients.Network().ShowPort(ctx, id, mine.ID)
	if err != nil || free.DeviceID != "" || free.DeviceOwner != "" || free.HostID != "" || free.VIFType != network.TypeUnbound {
		t.Errorf("port %+v, %v", free, err)
	}
	if err := clients.Network().DeletePort(ctx, id, mine.ID); err != nil {
		t.Error(err)
	}
	if _, err := svc.DeallocatePort(ctx, id, detach); err != nil {
		t.Errorf("detach a port that is gone: %v", err)
	}
	err = svc.Deallocate(ctx, id, network.DeallocateRequest{
		InstanceUUID: instance, ProjectID: id.ProjectID, Current: left.Info, Records: records,
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRefusals leaves no port behind.
func TestRefusals(t *testing.T) {
	world := cloudtest.New(t, "refusals")
	clients, user, root := world.Open(), world.User(member), world.User(admin)
	svc := network.New(clients.Network(), host, network.Options{Log: quiet()})
	net1 := findNetwork(t, clients, user, "net1")
	const nowhere = "b01de000-0000-4000-8000-00000000dead"
	for _, c := range []struct {
		want      network.Class
		id        cloud.Identity
		requested network.Requested
		host      string
	}{
		{network.Forbidden, user, network.Requested{NetworkID: net1, Address: "10.77.0.200"}, host},
		{network.InvalidInput, root, network.Requested{NetworkID: net1, Address: "192.0.2.1"}, host},
		{network.FixedIPAlreadyInUse, root, network.Requested{NetworkID: net1, Address: "10.77.0.2"}, host},
		{network.NetworkNotFound, user, network.Requested{NetworkID: nowhere}, host},
		{network.PortNotFound, user, network.Requested{PortID: nowhere}, host},
		{network.PortBindingFailed, user, network.Requested{NetworkID: net1}, "bolide-nowhere"},
		{network.PortBindingFailed, root, network.Requested{NetworkID: net1}, "bolide-nowhere"},
	} {
		records := &rows{}
		_, err := svc.Allocate(t.Context(), c.id, network.AllocateRequest{
			InstanceUUID: instance, ProjectID: c.id.ProjectID, Hostname: "guest", AvailabilityZone: "nova", Host: c.host,
			Requested: []network.Requested{c.requested}, Records: records,
		})
		if !network.Is(err, c.want) {
			t.Errorf("want %s, got %v", c.want, err)
		}
		ports, err := clients.Network().ListPorts(t.Context(), c.id, cloud.Filter{"device_id": {instance}})
		if err != nil || len(ports) > 0 || len(records.list) > 0 {
			t.Errorf("%s leaves %v and %v, %v", c.want, ports, records.list, err)
		}
	}
}
