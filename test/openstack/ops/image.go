package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/test/openstack/api"
)

func (s *Session) snapshot(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	size, err := s.take(ctx, id, turn{"createImage", map[string]any{"name": "ops-snapshot"}, api.Active()}, &s.snapped)
	if err == nil && size < 1<<20 {
		err = fmt.Errorf("image has only %d bytes", size)
	}
	return err
}

// take asks for an image of a guest, by one of the actions that make one, and
// waits until the image can be used; it returns its size in bytes.
func (s *Session) take(ctx context.Context, id string, t turn, image *string) (size int64, err error) {
	var made struct {
		Image string `json:"image_id"`
	}
	if err := s.Act(ctx, id, t.action, t.arg, &made); err != nil {
		return 0, err
	}
	*image = made.Image
	if err := s.settled(ctx, id, t.want); err != nil {
		return 0, fmt.Errorf("%s: %w", t.action, err)
	}
	err = api.Until(ctx, 30*time.Second, func(ctx context.Context) (bool, error) {
		var image struct {
			Status string
			Size   int64
		}
		if err := s.Get(ctx, api.Image+"/images/"+made.Image, &image); err != nil {
			return true, err
		}
		if image.Status != "active" {
			return false, fmt.Errorf("image is %s", image.Status)
		}
		size = image.Size
		return true, nil
	})
	return size, err
}

func (s *Session) bootFromSnapshot(ctx context.Context) error {
	image := s.snapped
	if image == "" {
		return errors.New("snapshot did not run before")
	}
	err := s.With(ctx, "from-snapshot", api.Options{"imageRef": image}, func(v api.Server) error {
		return s.Sees(ctx, v.ID, `guest: ready`)
	})
	return errors.Join(err, s.dropImage(ctx, image))
}

func (s *Session) rescue(ctx context.Context) error {
	return s.change(ctx, "rescue", map[string]any{"rescue_image_ref": s.Image}, rescued)
}

func (s *Session) unrescue(ctx context.Context) error {
	return s.change(ctx, "unrescue", nil, api.Active())
}

func (s *Session) rebuild(ctx context.Context) error {
	err := s.starts(ctx, func() error {
		return s.change(ctx, "rebuild", map[string]any{"imageRef": s.Image}, api.Active())
	})
	if err != nil {
		return err
	}
	return s.Sees(ctx, s.server, `guest: ready`)
}
