package compute

import (
	"errors"
	"net/http"
	"slices"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/web"
)

var resizeParts = append([]string{"services"}, withNUMA...)

// resize changes the flavor on the host that the instance is on: the instance's
// resources go to the migration, and new ones are claimed for it.
func resize(r *request) error {
	var arg struct{ FlavorRef string }
	if err := r.read(&arg); err != nil {
		return r.giveUp(err)
	}
	m := &move{request: r, kind: "resize"}
	return m.begin(func(tx *cell.Tx) (err error) {
		m.flavor, err = flavor(tx, arg.FlavorRef)
		if err != nil {
			return web.Refuse(http.StatusBadRequest, "", "Flavor %s could not be found.", arg.FlavorRef)
		}
		if m.flavor.Str("flavorid") == m.inst.Flavor().Str("flavorid") {
			return web.Refuse(http.StatusBadRequest, "", "When resizing, instances must change flavor!")
		}
		m.to, err = chooseNode(tx, func(n computeNode) bool { return n.host == m.inst.Host() })
		return err
	})
}

// migrate moves an instance to another host, as it is.
func migrate(r *request) error {
	var arg struct{ Host *string }
	if err := r.read(&arg); err != nil {
		return r.giveUp(err)
	}
	m := &move{request: r, kind: "migration", flavor: r.inst.Flavor().Object}
	return m.begin(func(tx *cell.Tx) (err error) {
		m.to, err = chooseNode(tx, func(n computeNode) bool {
			return n.host != m.inst.Host() && (arg.Host == nil || *arg.Host == n.host)
		})
		return err
	})
}

// chooseNode is the first node that fits.
func chooseNode(tx *cell.Tx, fits func(computeNode) bool) (computeNode, error) {
	candidates, err := nodes(tx)
	if err != nil {
		return computeNode{}, err
	}
	i := slices.IndexFunc(candidates, fits)
	if i < 0 {
		return computeNode{}, web.Refuse(http.StatusBadRequest, "", "No valid host was found.")
	}
	return candidates[i], nil
}

// move is a resize or a migration on its way.
type move struct {
	*request
	kind      string // migration_type
	flavor    *nova.Object
	migration *nova.Object
	spec      *nova.Object
	image     map[string]any
	to        computeNode
}

// begin chooses the flavor and the node, and asks the node.
func (m *move) begin(choose func(tx *cell.Tx) error) error {
	err := m.o.DB.Update(m.rc, func(tx *cell.Tx) error {
		if err := choose(tx); err != nil {
			return err
		}
		return m.record(tx)
	})
	if err != nil {
		return m.giveUp(refuse(err))
	}
	if err := m.claim(); err != nil {
		return m.giveUp(errors.Join(err, m.o.DB.Update(m.rc, func(tx *cell.Tx) error { return m.abandon(tx, err) })))
	}
	return m.cast(m.rc, m.to.host, "prep_resize", m.args(map[string]any{
		"image": m.image, "flavor": m.flavor, "request_spec": m.spec, "filter_properties": filterProperties(m.to),
		"node": m.to.name, "clean_shutdown": true, "migration": m.migration, "host_list": []any{},
	}))
}

// record notes the move.
func (m *move) record(tx *cell.Tx) error {
	img, err := m.o.Images.Get(m.inst.ImageRef())
	if err != nil {
		img = nil // it was deleted; the instance remembers what matters
	}
	m.image = bareImageDict(img)
	m.spec = requestSpec(tx.Profile(), m.inst, m.flavor, img, nil)
	o := tx.Profile().New("Migration")
	for name, value := range map[string]any{
		"instance_uuid": m.inst.UUID(), "migration_type": m.kind, "status": "pre-migrating",
		"source_compute": m.inst.Host(), "source_node": m.inst.Node(),
		"old_instance_type_id": m.inst.InstanceTypeID(), "new_instance_type_id": m.flavor.Int("id"),
		"user_id": m.rc.UserID(), "project_id": m.rc.ProjectID(),
	} {
		o.Set(name, value)
	}
	m.migration = o
	return tx.Create(o)
}

func (m *move) claim() error {
	id := m.migration.Str("uuid")
	if err := m.o.Placement.Move(m.inst.UUID(), id); err != nil {
		return err
	}
	if _, err := m.schedule([]computeNode{m.to}, m.inst, m.flavor, nil); err != nil {
		return errors.Join(err, m.o.Placement.Move(id, m.inst.UUID()))
	}
	return nil
}

// abandon notes that the move came to nothing.
func (m *move) abandon(tx *cell.Tx, cause error) error {
	m.migration.Set("status", "error")
	return errors.Join(tx.Save(m.migration, nil), fault(tx, m.inst.UUID(), cause))
}

// finished is the instance's resize that waits for its owner.
func (r *request) finished(tx *cell.Tx, status string) (*nova.Object, error) {
	o, err := tx.Row("Migration", func(m *nova.Object) bool {
		return m.Str("instance_uuid") == r.inst.UUID() && m.Str("status") == "finished"
	})
	if err == nil && o == nil {
		err = web.Refuse(http.StatusBadRequest, "", "Instance has not been resized.")
	}
	if err != nil {
		return nil, err
	}
	o.Set("status", status)
	return o, tx.Save(o, nil)
}

func confirmResize(r *request) error {
	var migration *nova.Object
	err := r.o.DB.Update(r.rc, func(tx *cell.Tx) (err error) {
		migration, err = r.finished(tx, "confirming")
		return err
	})
	if err != nil {
		return err
	}
	return r.cast(r.rc, migration.Str("source_compute"), "confirm_resize", r.args(map[string]any{"migration": migration}))
}

func revertResize(r *request) error {
	var migration, spec *nova.Object
	err := r.o.DB.Update(r.rc, func(tx *cell.Tx) (err error) {
		if migration, err = r.finished(tx, "reverting"); err != nil {
			return err
		}
		img, err := r.o.Images.Get(r.inst.ImageRef())
		if err != nil {
			img = nil // deleted
		}
		spec = keptSpec(tx.Profile(), r.inst, r.inst.Flavor().Object, img)
		return nil
	})
	if err != nil {
		return r.giveUp(err)
	}
	return r.cast(r.rc, migration.Str("dest_compute"), "revert_resize", r.args(map[string]any{"migration": migration, "request_spec": spec}))
}
