package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bolide/test/openstack/api"
)

func (s *Session) attachInterface(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	var made struct {
		Attachment struct {
			Port string `json:"port_id"`
		} `json:"interfaceAttachment"`
	}
	err = s.Post(ctx, api.ServerURL(id)+"/os-interface",
		map[string]any{"interfaceAttachment": map[string]any{"net_id": s.Network}}, &made)
	if err != nil {
		return err
	}
	s.port = made.Attachment.Port
	n, err := s.interfaces(ctx, id)
	if err == nil && n != 2 {
		err = fmt.Errorf("%d interfaces, want 2", n)
	}
	if err != nil {
		return err
	}
	return s.hasTap(ctx, id, s.port, true)
}

// hasTap makes sure that the guest's domain has the port's tap, or has it not.
func (s *Session) hasTap(ctx context.Context, id, port string, want bool) error {
	taps, err := virsh(ctx, "domiflist", id)
	if err == nil && strings.Contains(taps, tap(port)) != want {
		err = fmt.Errorf("domain with %s: %v, want %v: %s", tap(port), !want, want, taps)
	}
	return err
}

func (s *Session) detachInterface(ctx context.Context) error {
	if s.port == "" {
		return errors.New("attach_interface did not run before")
	}
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	if err := s.Delete(ctx, api.ServerURL(id)+"/os-interface/"+s.port); err != nil {
		return err
	}
	err = api.Until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		n, err := s.interfaces(ctx, id)
		if err != nil || n == 1 {
			return true, err
		}
		return false, fmt.Errorf("%d interfaces, want 1", n)
	})
	if err != nil {
		return err
	}
	left, err := s.portsOf(ctx, id)
	if err == nil && slices.Contains(left, s.port) {
		err = fmt.Errorf("port %s is left in Neutron", s.port)
	}
	return errors.Join(err, s.hasTap(ctx, id, s.port, false))
}

func (s *Session) interfaces(ctx context.Context, id string) (int, error) {
	var found struct {
		Attachments []any `json:"interfaceAttachments"`
	}
	err := s.Get(ctx, api.ServerURL(id)+"/os-interface", &found)
	return len(found.Attachments), err
}
