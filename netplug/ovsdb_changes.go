package netplug

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// ensure returns what is missing of want.
func (s *session) ensure(ctx context.Context, want switchState) ([]ovsdb.Operation, error) {
	var ops []ovsdb.Operation
	for _, b := range want.Bridges {
		there, err := read[bridgeRow](ctx, s, called(b.Name))
		if err != nil {
			return nil, err
		}
		if there != nil {
			continue
		}
		add, err := s.addBridge(ctx, b, fmt.Sprintf("bridge%d", len(ops)))
		if err != nil {
			return nil, err
		}
		ops = append(ops, add...)
	}
	for _, p := range want.Ports {
		change, err := s.ensurePort(ctx, p, fmt.Sprintf("port%d", len(ops)))
		if err != nil {
			return nil, err
		}
		ops = append(ops, change...)
	}
	return ops, nil
}

// addBridge makes a bridge with its local port, without which ovs-vswitchd
// takes none.
func (s *session) addBridge(ctx context.Context, b switchBridge, name string) ([]ovsdb.Operation, error) {
	root, err := read[switchRow](ctx, s)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, fmt.Errorf("open vswitch: add bridge %s: the database was never initialised", b.Name)
	}
	local, err := s.addPort(switchPort{Name: b.Name, Type: "internal"}, name+"_local")
	if err != nil {
		return nil, err
	}
	bridge, err := insert(s, &bridgeRow{Name: b.Name, Datapath: b.Datapath, Ports: []string{name + "_local"}}, name)
	if err != nil {
		return nil, err
	}
	return append(local, bridge, refer[switchRow](withID(root.UUID), "bridges", ovsdb.MutateOperationInsert, name)), nil
}

// addPort makes a port that is on no bridge yet; other operations of the
// transaction call it by the name.
func (s *session) addPort(p switchPort, name string) ([]ovsdb.Operation, error) {
	r := interfaceRow{Name: p.Name, Type: p.Type, Options: p.Options, IDs: p.IDs, MTU: set(p.MTU)}
	iface, err := insert(s, &r, name+"_interface")
	if err != nil {
		return nil, err
	}
	port, err := insert(s, &portRow{Name: p.Name, Interfaces: []string{name + "_interface"}, Tag: set(p.Tag)}, name)
	if err != nil {
		return nil, err
	}
	return []ovsdb.Operation{iface, port}, nil
}

// set is an optional column's value; 0 means none.
func set(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// ensurePort adds the port, or changes what is not as it should be. One that is
// on another bridge is moved. One that belongs to another of Neutron's ports is
// not touched: that is an error.
func (s *session) ensurePort(ctx context.Context, p switchPort, name string) ([]ovsdb.Operation, error) {
	at, err := s.find(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	if at != nil {
		if owner, mine := at.iface.IDs[idInterface], p.IDs[idInterface]; owner != "" && mine != "" && owner != mine {
			return nil, fmt.Errorf("open vswitch: port %s belongs to %s", p.Name, owner)
		}
		if at.bridge.Name == p.Bridge {
			return s.changeInterface(at.iface, p), nil
		}
	}
	var ops []ovsdb.Operation
	if at != nil {
		ops = append(ops, refer[bridgeRow](withID(at.bridge.UUID), "ports", ovsdb.MutateOperationDelete, at.port.UUID))
	}
	add, err := s.addPort(p, name)
	if err != nil {
		return nil, err
	}
	// by its name, since a bridge that this transaction makes has no UUID yet
	return append(append(ops, add...), refer[bridgeRow](called(p.Bridge), "ports", ovsdb.MutateOperationInsert, name)), nil
}

// changeInterface brings an interface that is there to what it should be. The
// keys that others have put into its maps stay.
func (s *session) changeInterface(is interfaceRow, want switchPort) []ovsdb.Operation {
	columns := ovsdb.Row{}
	if is.Type != want.Type {
		columns["type"] = want.Type
	}
	if want.MTU != 0 && (is.MTU == nil || *is.MTU != want.MTU) {
		columns["mtu_request"] = want.MTU
	}
	mutations := slices.Concat(
		changeMap("external_ids", is.IDs, want.IDs), changeMap("options", is.Options, want.Options))
	where := []ovsdb.Condition{withID(is.UUID)}
	var ops []ovsdb.Operation
	if len(columns) > 0 {
		ops = append(ops, ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: tableInterface, Where: where, Row: columns})
	}
	if len(mutations) > 0 {
		ops = append(ops, ovsdb.Operation{Op: ovsdb.OperationMutate, Table: tableInterface, Where: where, Mutations: mutations})
	}
	return ops
}

// changeMap sets the keys of a map column that differ. Inserting leaves a key
// that is there as it is, so it is deleted before.
func changeMap(column string, is, want map[string]string) []ovsdb.Mutation {
	differ := map[any]any{}
	for key, value := range want {
		if old, ok := is[key]; !ok || old != value {
			differ[key] = value
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return []ovsdb.Mutation{
		*ovsdb.NewMutation(column, ovsdb.MutateOperationDelete, ovsdb.OvsSet{GoSet: slices.Collect(maps.Keys(differ))}),
		*ovsdb.NewMutation(column, ovsdb.MutateOperationInsert, ovsdb.OvsMap{GoMap: differ}),
	}
}

// remove returns what takes away what is left of gone. The rows below go with
// what refers to them.
func (s *session) remove(ctx context.Context, gone switchRemoval) ([]ovsdb.Operation, error) {
	var ops []ovsdb.Operation
	for _, name := range gone.Ports {
		at, err := s.find(ctx, name)
		if err != nil {
			return nil, err
		}
		if at == nil {
			continue
		}
		if owner := at.iface.IDs[idInterface]; owner != "" && owner != gone.Owner {
			continue
		}
		ops = append(ops, refer[bridgeRow](withID(at.bridge.UUID), "ports", ovsdb.MutateOperationDelete, at.port.UUID))
	}
	for _, name := range gone.Bridges {
		bridge, err := read[bridgeRow](ctx, s, called(name))
		if err != nil {
			return nil, err
		}
		if bridge == nil {
			continue
		}
		root, err := read[switchRow](ctx, s)
		if err != nil || root == nil {
			return nil, err
		}
		ops = append(ops, refer[switchRow](withID(root.UUID), "bridges", ovsdb.MutateOperationDelete, bridge.UUID))
	}
	return ops, nil
}

// awaitSwitch asks ovs-vswitchd to say when it has come to this, and waits.
func (s *session) awaitSwitch(ctx context.Context) error {
	root, err := read[switchRow](ctx, s)
	if err != nil || root == nil {
		return err
	}
	where := []ovsdb.Condition{withID(root.UUID)}
	raise := ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: tableSwitch, Where: where,
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("next_cfg", ovsdb.MutateOperationAdd, 1)},
	}
	if _, err := s.transact(ctx, raise); err != nil {
		return err
	}
	raised, err := read[switchRow](ctx, s)
	if err != nil || raised == nil {
		return err
	}
	for now := raised; now.Current < raised.Next; {
		change := ovsdb.Operation{
			Op: ovsdb.OperationWait, Table: tableSwitch, Where: where, Columns: []string{"cur_cfg"},
			Until: string(ovsdb.WaitConditionNotEqual), Rows: []ovsdb.Row{{"cur_cfg": now.Current}},
		}
		if _, err := s.transact(ctx, change); err != nil {
			return err
		}
		if now, err = read[switchRow](ctx, s); err != nil || now == nil {
			return err
		}
	}
	return nil
}
