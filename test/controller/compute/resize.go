package compute

import (
	"errors"
	"net/http"

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
	m := &move{request: r}
	err := r.o.DB.Update(r.rc, func(tx *cell.Tx) error { return m.record(tx, arg.FlavorRef) })
	if err != nil {
		return r.giveUp(refuse(err))
	}
	if err := m.claim(); err != nil {
		return r.giveUp(errors.Join(err, r.o.DB.Update(r.rc, func(tx *cell.Tx) error { return m.abandon(tx, err) })))
	}
	return r.cast(r.rc, m.to.host, "prep_resize", r.args(map[string]any{
		"image": m.image, "flavor": m.flavor, "request_spec": m.spec, "filter_properties": filterProperties(m.to),
		"node": m.to.name, "clean_shutdown": true, "migration": m.migration, "host_list": []any{},
	}))
}

// move is a resize on its way.
type move struct {
	*request
	flavor    *nova.Object
	migration *nova.Object
	spec      *nova.Object
	image     map[string]any
	to        computeNode
}

func (m *move) record(tx *cell.Tx, flavorRef string) error {
	f, err := flavor(tx, flavorRef)
	if err != nil {
		return web.Refuse(http.StatusBadRequest, "", "Flavor %s could not be found.", flavorRef)
	}
	if f.Str("flavorid") == m.inst.Flavor().Str("flavorid") {
		return web.Refuse(http.StatusBadRequest, "", "When resizing, instances must change flavor!")
	}
	candidates, err := nodes(tx)
	if err != nil {
		return err
	}
	for _, n := range candidates {
		if n.host == m.inst.Host() {
			m.to = n
		}
	}
	if m.to.host == "" {
		return web.Refuse(http.StatusConflict, "", "The instance's host is down.")
	}
	img, err := m.o.Images.Get(m.inst.ImageRef())
	if err != nil {
		img = nil // it was deleted; the instance remembers what matters
	}
	m.flavor, m.image = f, bareImageDict(img)
	m.spec = requestSpec(tx.Profile(), m.inst, f, img, nil)
	o := tx.Profile().New("Migration")
	for name, value := range map[string]any{
		"instance_uuid": m.inst.UUID(), "migration_type": "resize", "status": "pre-migrating",
		"source_compute": m.inst.Host(), "source_node": m.inst.Node(),
		"old_instance_type_id": m.inst.InstanceTypeID(), "new_instance_type_id": f.Int("id"),
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
