package cloud_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/cloud"
	"bolide/agent/cloud/cloudtest"
)

// TestProviderLife follows a provider, its inventory and its consumers.
func TestProviderLife(t *testing.T) {
	world := cloudtest.New(t, "provider_life")
	placement := world.Open().Placement()
	id := cloud.Identity{RequestID: cloudtest.RequestID, Token: "a user's, which Placement must not see"}
	ctx := t.Context()
	const (
		host      = "b01de000-0000-4000-8000-000000000001"
		guest     = "b01de000-0000-4000-8000-000000000002"
		move      = "b01de000-0000-4000-8000-000000000003"
		aggregate = "b01de000-0000-4000-8000-000000000004"
	)

	provider, err := placement.CreateProvider(ctx, id, cloud.Provider{UUID: host, Name: "bolide-test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := placement.CreateProvider(ctx, id, cloud.Provider{UUID: host, Name: "bolide-test"}); !cloud.IsConflict(err) {
		t.Errorf("create again: %v", err)
	}
	if tree, err := placement.ProvidersInTree(ctx, id, host); err != nil || !cmp.Equal(tree, []cloud.Provider{*provider}) {
		t.Errorf("tree %+v, %v", tree, err)
	}

	cpus := map[string]cloud.Inventory{"VCPU": {Total: 4, MinUnit: 1, MaxUnit: 4, StepSize: 1, AllocationRatio: 16}}
	inventories, err := placement.SetInventories(ctx, id, host, cloud.Inventories{Generation: provider.Generation, Inventories: cpus})
	if err != nil || !cmp.Equal(inventories.Inventories, cpus) {
		t.Fatalf("inventories %+v, %v", inventories, err)
	}
	_, err = placement.SetInventories(ctx, id, host, cloud.Inventories{Generation: provider.Generation})
	if !cloud.IsConcurrentUpdate(err) {
		t.Errorf("set with an old generation: %v", err)
	}
	if err := placement.CreateTrait(ctx, id, "CUSTOM_BOLIDE_TEST"); err != nil {
		t.Error(err)
	}
	known, err := placement.KnownTraits(ctx, id, []string{"COMPUTE_NODE", "CUSTOM_BOLIDE_TEST", "CUSTOM_BOLIDE_UNKNOWN"})
	if err != nil || len(known) != 2 {
		t.Errorf("known traits %v, %v", known, err)
	}
	traits, err := placement.SetTraits(ctx, id, host, cloud.Traits{Generation: inventories.Generation, Traits: []string{"COMPUTE_NODE"}})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := placement.SetAggregates(ctx, id, host, cloud.Aggregates{Generation: traits.Generation, Aggregates: []string{aggregate}})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := placement.Aggregates(ctx, id, host); err != nil || !cmp.Equal(again, groups) {
		t.Errorf("aggregates %+v, %v", again, err)
	}
	if again, err := placement.Traits(ctx, id, host); err != nil || !cmp.Equal(again.Traits, traits.Traits) {
		t.Errorf("traits %+v, %v", again, err)
	}
	if sharing, err := placement.SharingProviders(ctx, id, []string{aggregate}); err != nil || len(sharing) > 0 {
		t.Errorf("sharing providers %v, %v", sharing, err)
	}

	share := map[string]cloud.ProviderAllocation{host: {Resources: cloud.Resources{"VCPU": 2}}}
	if err := placement.SetAllocation(ctx, id, guest, cloud.Allocation{Allocations: share, ProjectID: "p", UserID: "u"}); err != nil {
		t.Fatal(err)
	}
	taken, err := placement.Allocation(ctx, id, guest)
	if err != nil || taken.Allocations[host].Resources["VCPU"] != 2 || taken.ConsumerGeneration == nil {
		t.Fatalf("allocation %+v, %v", taken, err)
	}
	consumers, err := placement.Consumers(ctx, id, host)
	if err != nil || consumers.Allocations[guest].Resources["VCPU"] != 2 {
		t.Errorf("consumers %+v, %v", consumers, err)
	}
	err = placement.SetAllocations(ctx, id, map[string]cloud.Allocation{
		guest: {ProjectID: "p", UserID: "u", ConsumerGeneration: taken.ConsumerGeneration},
		move:  {Allocations: taken.Allocations, ProjectID: "p", UserID: "u"},
	})
	if err != nil {
		t.Error(err)
	}
	if err := placement.DeleteProvider(ctx, id, host); !cloud.IsConflict(err) {
		t.Errorf("delete while allocated from: %v", err)
	}
	for range 2 { // the second time there is nothing left
		if err := placement.DeleteAllocation(ctx, id, move); err != nil {
			t.Error(err)
		}
	}
	if none, err := placement.Allocation(ctx, id, move); err != nil || len(none.Allocations) > 0 || none.ConsumerGeneration != nil {
		t.Errorf("allocation after delete %+v, %v", none, err)
	}
	if err := placement.DeleteProvider(ctx, id, host); err != nil {
		t.Error(err)
	}
	if _, err := placement.Provider(ctx, id, host); !cloud.IsNotFound(err) {
		t.Errorf("provider after delete: %v", err)
	}
}

// TestReshape moves a host's CPUs into a child provider, along with what a guest
// takes of them.
func TestReshape(t *testing.T) {
	world := cloudtest.New(t, "reshape")
	placement := world.Open().Placement()
	id := cloud.Identity{RequestID: cloudtest.RequestID}
	ctx := t.Context()
	const (
		host  = "b01de000-0000-4000-8000-000000000011"
		cell  = "b01de000-0000-4000-8000-000000000012"
		guest = "b01de000-0000-4000-8000-000000000013"
	)
	root, err := placement.CreateProvider(ctx, id, cloud.Provider{UUID: host, Name: "bolide-test-host"})
	if err != nil {
		t.Fatal(err)
	}
	child, err := placement.CreateProvider(ctx, id, cloud.Provider{UUID: cell, Name: "bolide-test-cell", ParentUUID: host})
	if err != nil || child.ParentUUID != host || child.RootUUID != host {
		t.Fatalf("child %+v, %v", child, err)
	}
	child.Name = "bolide-test-cell-0"
	if renamed, err := placement.RenameProvider(ctx, id, *child); err != nil || renamed.Name != child.Name {
		t.Errorf("renamed %+v, %v", renamed, err)
	}
	if err := placement.CreateResourceClass(ctx, id, "CUSTOM_BOLIDE_TEST"); err != nil {
		t.Error(err)
	}
	unit := cloud.Inventory{Total: 4, MinUnit: 1, MaxUnit: 4, StepSize: 1, AllocationRatio: 1}
	both := map[string]cloud.Inventory{"VCPU": unit, "CUSTOM_BOLIDE_TEST": unit}
	had, err := placement.SetInventories(ctx, id, host, cloud.Inventories{Generation: root.Generation, Inventories: both})
	if err != nil {
		t.Fatal(err)
	}
	share := map[string]cloud.ProviderAllocation{host: {Resources: cloud.Resources{"VCPU": 1}}}
	if err := placement.SetAllocation(ctx, id, guest, cloud.Allocation{Allocations: share, ProjectID: "p", UserID: "u"}); err != nil {
		t.Fatal(err)
	}
	taken, err := placement.Allocation(ctx, id, guest)
	if err != nil {
		t.Fatal(err)
	}
	taken.Allocations = map[string]cloud.ProviderAllocation{cell: {Resources: cloud.Resources{"VCPU": 1}}}
	err = placement.Reshape(ctx, id, map[string]cloud.Inventories{
		host: {Generation: had.Generation + 1, Inventories: map[string]cloud.Inventory{"CUSTOM_BOLIDE_TEST": unit}},
		cell: {Generation: child.Generation, Inventories: map[string]cloud.Inventory{"VCPU": unit}},
	}, map[string]cloud.Allocation{guest: *taken})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := placement.Inventories(ctx, id, cell); err != nil || got.Inventories["VCPU"].Total != 4 {
		t.Errorf("inventories of the cell %+v, %v", got, err)
	}
	if got, err := placement.Consumers(ctx, id, host); err != nil || len(got.Allocations) != 0 {
		t.Errorf("consumers of the host %+v, %v", got, err)
	}
	if err := placement.DeleteAllocation(ctx, id, guest); err != nil {
		t.Error(err)
	}
	if err := placement.DeleteProvider(ctx, id, host); !cloud.IsConflict(err) {
		t.Errorf("delete a parent: %v", err)
	}
	for _, provider := range []string{cell, host} {
		if err := placement.DeleteProvider(ctx, id, provider); err != nil {
			t.Error(err)
		}
	}
}
