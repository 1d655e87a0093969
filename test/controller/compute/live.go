package compute

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/web"
)

// migrateLive moves a running instance to another host: it asks the host first, has
// the ports bound there as well, and then leaves the move to the hosts.
func migrateLive(r *request) error {
	var arg struct {
		Host  *string
		Block any `json:"block_migration"`
	}
	if err := r.read(&arg); err != nil {
		return r.giveUp(err)
	}
	m := &liveMove{move: &move{request: r}}
	if arg.Block != "auto" {
		m.block = arg.Block
	}
	err := r.o.DB.Update(r.rc, func(tx *cell.Tx) error { return m.record(tx, arg.Host) })
	if err != nil {
		return r.giveUp(refuse(err))
	}
	if err := m.start(); err != nil {
		return r.giveUp(errors.Join(err, m.takeBack(err)))
	}
	return nil
}

// liveMove is a live migration on its way.
type liveMove struct {
	*move
	block  any
	limits *nova.Object // the scheduler's
	data   *nova.LiveMigrateData
}

// record notes the move and chooses where to.
func (m *liveMove) record(tx *cell.Tx, host *string) error {
	var err error
	m.to, err = chooseNode(tx, func(n computeNode) bool {
		return n.host != m.inst.Host() && (host == nil || *host == n.host)
	})
	if err != nil {
		return err
	}
	m.limits = noLimits(tx.Profile())
	o := tx.Profile().New("Migration")
	for name, value := range map[string]any{
		"instance_uuid": m.inst.UUID(), "migration_type": "live-migration", "status": "accepted",
		"source_compute": m.inst.Host(), "source_node": m.inst.Node(), "dest_compute": m.to.host, "dest_node": m.to.name,
		"old_instance_type_id": m.inst.InstanceTypeID(), "new_instance_type_id": m.inst.InstanceTypeID(),
		"user_id": m.rc.UserID(), "project_id": m.rc.ProjectID(),
	} {
		o.Set(name, value)
	}
	m.migration, m.flavor = o, m.inst.Flavor().Object
	return tx.Create(o)
}

func (m *liveMove) start() error {
	if err := m.claim(); err != nil {
		return err
	}
	raw, err := m.o.Caller.Call(m.Context(), m.rc, node(m.to.host), "check_can_live_migrate_destination", m.args(map[string]any{
		"block_migration": m.block, "disk_over_commit": nil, "migration": m.migration, "limits": m.limits,
	}))
	if err != nil {
		return err
	}
	o, err := nova.Decode(raw)
	if err != nil {
		return err
	}
	m.data = nova.As[nova.LiveMigrateData](o)
	if err := m.bind(); err != nil {
		return err
	}
	return m.cast(m.rc, m.inst.Host(), "live_migration", m.args(map[string]any{
		"dest": m.to.host, "block_migration": m.block, "migration": m.migration, "migrate_data": m.data,
	}))
}

// bind has the ports bound to the destination too, and tells both hosts how.
func (m *liveMove) bind() error {
	for _, v := range m.data.VIFs() {
		b, err := m.network.BindElsewhere(v.PortID(), m.to.host)
		if err != nil {
			return err
		}
		details, err := json.Marshal(b.Details)
		if err != nil {
			return err
		}
		v.Set("vif_type", b.VIFType)
		v.Set("vnic_type", b.VNICType)
		v.Set("vif_details_json", string(details))
	}
	return nil
}

// takeBack undoes what was done before a host was asked to move the instance.
func (m *liveMove) takeBack(cause error) error {
	err := m.o.Placement.Release(m.inst.UUID())
	return errors.Join(err, m.o.Placement.Move(m.migration.Str("uuid"), m.inst.UUID()),
		m.o.DB.Update(m.rc, func(tx *cell.Tx) error { return m.abandon(tx, cause) }))
}

// listMigrations lists the moves of a server.
func (s *Service) listMigrations(c *web.Call) error {
	list := []any{}
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) error {
		rows, err := tx.Rows("Migration", func(m *nova.Object) bool { return m.Str("instance_uuid") == c.PathValue("id") })
		for _, m := range rows {
			v := map[string]any{}
			for _, field := range []string{"id", "uuid", "status", "source_compute", "dest_compute", "migration_type",
				"memory_total_bytes", "memory_remaining_bytes"} {
				v[field] = m.Raw(field)
			}
			list = append(list, v)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"migrations": list})
}

// abortMigration and forceMigration speak to the host that a server leaves.
func (s *Service) abortMigration(c *web.Call) error {
	id, err := strconv.Atoi(c.PathValue("migration"))
	if err != nil {
		return web.Refuse(http.StatusNotFound, "", "There is no migration %s", c.PathValue("migration"))
	}
	return s.steerMigration(c, "live_migration_abort", map[string]any{"migration_id": id})
}

func (s *Service) forceMigration(c *web.Call) error {
	return s.steerMigration(c, "live_migration_force_complete", nil)
}

func (s *Service) steerMigration(c *web.Call, method string, args map[string]any) error {
	inst, err := s.find(c, basics...)
	if err != nil {
		return err
	}
	r := &request{Service: s, Call: c, rc: s.context(c), inst: inst}
	if err := s.o.DB.Update(r.rc, func(tx *cell.Tx) error {
		_, err := tx.StartAction(inst.UUID(), method)
		return err
	}); err != nil {
		return err
	}
	if err := r.tell(method, args); err != nil {
		return err
	}
	return c.Done(http.StatusAccepted)
}
