package network

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"golang.org/x/sync/errgroup"
)

// integrationBridge is where all ports of Open vSwitch are.
const integrationBridge = "br-int"

// Switch is a wire of Open vSwitch: it does what Neutron's agent does, but keeps
// no networks apart. Somebody else makes the integration bridge.
type Switch struct {
	Database string // the switch's, "unix:PATH"
}

var _ Wire = Switch{}

// Bound implements Wire: the port is for the host to make.
func (Switch) Bound(string) {}

// Prepare implements Wire: the bridge is everybody's.
func (Switch) Prepare(string, string) error { return nil }

// interfaceRow is what the agent looks at.
type interfaceRow struct {
	UUID string            `ovsdb:"_uuid"`
	Name string            `ovsdb:"name"`
	IDs  map[string]string `ovsdb:"external_ids"`
	Port *int              `ovsdb:"ofport"` // positive once the switch has the link
}

// Run reports the ports that the switch has got and lost.
func (w Switch) Run(ctx context.Context, report func(string, bool)) error {
	rows, err := model.NewClientDBModel("Open_vSwitch", map[string]model.Model{"Interface": &interfaceRow{}})
	if err != nil {
		return fmt.Errorf("follow the switch: %w", err)
	}
	quiet := logr.Discard()
	db, err := client.NewOVSDBClient(rows, client.WithEndpoint(w.Database), client.WithLogger(&quiet))
	if err == nil {
		err = db.Connect(ctx)
	}
	if err != nil {
		return fmt.Errorf("follow the switch: %w", err)
	}
	defer db.Close()
	tell := func(m model.Model, there bool) {
		i, ok := m.(*interfaceRow)
		if ok && i.IDs["iface-id"] != "" {
			report(tapName(i.IDs["iface-id"]), there && i.Port != nil && *i.Port > 0)
		}
	}
	db.Cache().AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(_ string, m model.Model) { tell(m, true) },
		UpdateFunc: func(_ string, _, m model.Model) { tell(m, true) },
		DeleteFunc: func(_ string, m model.Model) { tell(m, false) },
	})
	row := &interfaceRow{}
	columns := client.WithTable(row, &row.Name, &row.IDs, &row.Port)
	if _, err := db.Monitor(ctx, db.NewMonitor(columns)); err != nil {
		return fmt.Errorf("follow the switch: %w", err)
	}
	select {
	case <-db.DisconnectNotify():
		return fmt.Errorf("follow the switch: its database has gone")
	case <-ctx.Done():
		return nil
	}
}

// Wires are several wires, for a cloud whose networks are connected in several
// ways.
type Wires []Wire

var _ Wire = Wires{}

// Bound implements Wire.
func (w Wires) Bound(tap string) {
	for _, one := range w {
		one.Bound(tap)
	}
}

// Prepare implements Wire.
func (w Wires) Prepare(networkID, gateway string) error {
	for _, one := range w {
		if err := one.Prepare(networkID, gateway); err != nil {
			return err
		}
	}
	return nil
}

// Run implements Wire.
func (w Wires) Run(ctx context.Context, report func(string, bool)) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, one := range w {
		g.Go(func() error { return one.Run(ctx, report) })
	}
	return g.Wait()
}
