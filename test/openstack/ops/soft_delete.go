package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bolide/test/openstack/api"
)

// softDeleted is the state of a guest whose user may have it back.
var softDeleted = api.State{Status: "SOFT_DELETED", Power: api.Shutdown}

// softDelete: a guest that is deleted where deleted guests are kept for a while
// comes back when its user asks. It is then deleted again, for softDeletedGoes.
func (s *Session) softDelete(ctx context.Context) error {
	id, err := s.requestSmall(ctx, "soft", nil)
	if err != nil {
		return err
	}
	if _, err := s.Wait(ctx, id, api.Active()); err != nil {
		return err
	}
	soft := strings.Replace(api.ServerURL(id), api.Compute, api.Keeping, 1)
	if err := s.Delete(ctx, soft); err != nil {
		return err
	}
	if err := s.settled(ctx, id, softDeleted); err != nil {
		return err
	}
	if err := s.changeOf(ctx, id, turn{"restore", nil, api.Active()}); err != nil {
		return err
	}
	s.deletedPorts, err = s.portsOf(ctx, id)
	if err != nil {
		return err
	}
	if err := s.Delete(ctx, soft); err != nil {
		return err
	}
	s.deleted = id
	return s.settled(ctx, id, softDeleted)
}

// goneTimeout bounds the wait for such a guest's end: the cloud keeps it for 20 s,
// and the node looks once a minute.
const goneTimeout = 3 * time.Minute

// softDeletedGoes: when its time is over, such a guest is deleted for good.
func (s *Session) softDeletedGoes(ctx context.Context) error {
	id, ports := s.deleted, s.deletedPorts
	if id == "" {
		return errors.New("soft_delete_and_restore did not run before")
	}
	s.deleted, s.deletedPorts = "", nil
	err := api.Until(ctx, goneTimeout, func(ctx context.Context) (bool, error) {
		v, err := s.Show(ctx, id)
		if api.IsNotFound(err) {
			return true, nil
		}
		return err != nil, errors.Join(err, fmt.Errorf("server is still %s", v.Status))
	})
	if err != nil {
		return err
	}
	return s.leavesNothing(ctx, id, ports)
}
