package ops

import (
	"context"
	"errors"

	"bolide/test/openstack/api"
)

// guestAgent: the agent in a guest whose image promises one sets a new password,
// and freezes the file systems for the moment of a snapshot.
func (s *Session) guestAgent(ctx context.Context) error {
	const property = "/hw_qemu_guest_agent"
	if err := s.Patch(ctx, s.Image, map[string]any{"op": "add", "path": property, "value": "yes"}); err != nil {
		return err
	}
	v, err := s.Boot(ctx, "agent", nil)
	err = errors.Join(err, s.Patch(ctx, s.Image, map[string]any{"op": "remove", "path": property}))
	if err != nil {
		return err
	}
	if err := s.Sees(ctx, v.ID, `guest: agent: listens`); err != nil {
		return err
	}
	if err := s.changeOf(ctx, v.ID, turn{"changePassword", map[string]any{"adminPass": "s3same"}, api.Active()}); err != nil {
		return err
	}
	var image string
	if _, err := s.take(ctx, v.ID, turn{"createImage", map[string]any{"name": "frozen"}, api.Active()}, &image); err != nil {
		return err
	}
	return errors.Join(
		s.Sees(ctx, v.ID, `guest: agent: password of root is s3same`, `(?s)agent: file systems freeze-freeze.*agent: file systems freeze-thaw`),
		s.dropImage(ctx, image), s.Drop(ctx, v.ID))
}
