package netplug

import (
	"context"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Tables of the database (ovs-vswitchd.conf.db(5)). Rows of the last three exist
// only as long as a row above refers to them: a switch has bridges, a bridge
// ports, a port interfaces.
const (
	tableSwitch    = "Open_vSwitch"
	tableBridge    = "Bridge"
	tablePort      = "Port"
	tableInterface = "Interface"
)

// The columns of each table that matter here.
type (
	switchRow struct {
		UUID    string   `ovsdb:"_uuid"`
		Bridges []string `ovsdb:"bridges"`
		Next    int      `ovsdb:"next_cfg"` // raised by whoever wants to know when ovs-vswitchd has come so far
		Current int      `ovsdb:"cur_cfg"`  // what ovs-vswitchd has come to
	}
	bridgeRow struct {
		UUID     string   `ovsdb:"_uuid"`
		Name     string   `ovsdb:"name"`
		Datapath string   `ovsdb:"datapath_type"`
		Ports    []string `ovsdb:"ports"`
	}
	portRow struct {
		UUID       string   `ovsdb:"_uuid"`
		Name       string   `ovsdb:"name"`
		Interfaces []string `ovsdb:"interfaces"`
		Tag        *int     `ovsdb:"tag"`
	}
	interfaceRow struct {
		UUID    string            `ovsdb:"_uuid"`
		Name    string            `ovsdb:"name"`
		Type    string            `ovsdb:"type"`
		Options map[string]string `ovsdb:"options"`
		IDs     map[string]string `ovsdb:"external_ids"`
		MTU     *int              `ovsdb:"mtu_request"`
	}
)

// row is any of them.
type row interface {
	switchRow | bridgeRow | portRow | interfaceRow
}

func tableOf[R row]() string {
	switch any(*new(R)).(type) {
	case bridgeRow:
		return tableBridge
	case portRow:
		return tablePort
	case interfaceRow:
		return tableInterface
	}
	return tableSwitch
}

// read returns the first row that the conditions hold for, or nil.
func read[R row](ctx context.Context, s *session, where ...ovsdb.Condition) (*R, error) {
	out := new(R)
	db := s.client.Cache().DatabaseModel()
	info, err := db.NewModelInfo(out)
	if err != nil {
		return nil, fmt.Errorf("open vswitch: %w", err)
	}
	columns := make([]string, 0, len(info.Metadata.Fields))
	for column := range info.Metadata.Fields {
		columns = append(columns, column)
	}
	results, err := s.transact(ctx, ovsdb.Operation{Op: ovsdb.OperationSelect, Table: tableOf[R](), Columns: columns, Where: where})
	if err != nil || len(results[0].Rows) == 0 {
		return nil, err
	}
	found := results[0].Rows[0]
	if err := db.Mapper.GetRowData(&found, info); err != nil {
		return nil, fmt.Errorf("open vswitch: %w", err)
	}
	if id, ok := found["_uuid"].(ovsdb.UUID); ok { // in no schema, so the mapper leaves it out
		if err := info.SetField("_uuid", id.GoUUID); err != nil {
			return nil, fmt.Errorf("open vswitch: %w", err)
		}
	}
	return out, nil
}

func called(name string) ovsdb.Condition {
	return ovsdb.NewCondition("name", ovsdb.ConditionEqual, name)
}

func withID(uuid string) ovsdb.Condition {
	return ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})
}

// insert adds a row that others of the same transaction call by a name.
func insert[R row](s *session, r *R, name string) (ovsdb.Operation, error) {
	db := s.client.Cache().DatabaseModel()
	info, err := db.NewModelInfo(r)
	if err != nil {
		return ovsdb.Operation{}, fmt.Errorf("open vswitch: %w", err)
	}
	columns, err := db.Mapper.NewRow(info)
	if err != nil {
		return ovsdb.Operation{}, fmt.Errorf("open vswitch: %w", err)
	}
	return ovsdb.Operation{Op: ovsdb.OperationInsert, Table: tableOf[R](), Row: columns, UUIDName: name}, nil
}

// refer adds or takes away what a row's column refers to.
func refer[R row](where ovsdb.Condition, column string, how ovsdb.Mutator, to string) ovsdb.Operation {
	return ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: tableOf[R](), Where: []ovsdb.Condition{where},
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(column, how, ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: to}}})},
	}
}

// place is a port as it is: its three rows.
type place struct {
	bridge bridgeRow
	port   portRow
	iface  interfaceRow
}

// find looks a port up by its name; nil when there is none.
func (s *session) find(ctx context.Context, name string) (*place, error) {
	port, err := read[portRow](ctx, s, called(name))
	if err != nil || port == nil {
		return nil, err
	}
	bridge, err := read[bridgeRow](ctx, s,
		ovsdb.NewCondition("ports", ovsdb.ConditionIncludes, ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: port.UUID}}}))
	if err != nil || bridge == nil { // it went between the two questions
		return nil, err
	}
	at := &place{bridge: *bridge, port: *port}
	if len(port.Interfaces) != 1 {
		return nil, fmt.Errorf("open vswitch: port %s is a bond", name)
	}
	iface, err := read[interfaceRow](ctx, s, withID(port.Interfaces[0]))
	if err != nil || iface == nil {
		return nil, err
	}
	at.iface = *iface
	return at, nil
}
