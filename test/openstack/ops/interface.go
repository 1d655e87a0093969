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
	if s.port, err = s.attach(ctx, id, map[string]any{"net_id": s.Network}); err != nil {
		return err
	}
	all, err := s.interfaces(ctx, id)
	if err == nil && len(all) != 2 {
		err = fmt.Errorf("interfaces are %v, want 2", all)
	}
	if err != nil {
		return err
	}
	return s.hasTap(ctx, id, s.port, true)
}

// attach gives a guest an interface and returns its port.
func (s *Session) attach(ctx context.Context, id string, arg map[string]any) (port string, err error) {
	var made struct {
		Attachment struct {
			Port string `json:"port_id"`
		} `json:"interfaceAttachment"`
	}
	err = s.Post(ctx, api.ServerURL(id)+"/os-interface", map[string]any{"interfaceAttachment": arg}, &made)
	return made.Attachment.Port, err
}

// detach takes an interface from a guest, and waits until Nova has forgotten it.
func (s *Session) detach(ctx context.Context, id, port string) error {
	if err := s.Delete(ctx, api.ServerURL(id)+"/os-interface/"+port); err != nil {
		return err
	}
	return api.Until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		left, err := s.interfaces(ctx, id)
		if err != nil || !slices.Contains(left, port) {
			return true, err
		}
		return false, fmt.Errorf("port %s is still attached", port)
	})
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
	if err := s.detach(ctx, id, s.port); err != nil {
		return err
	}
	left, err := s.portsOf(ctx, id)
	if err == nil && slices.Contains(left, s.port) {
		err = fmt.Errorf("port %s is left in Neutron", s.port)
	}
	return errors.Join(err, s.hasTap(ctx, id, s.port, false))
}

// interfaces returns the ports that Nova says a guest has.
func (s *Session) interfaces(ctx context.Context, id string) ([]string, error) {
	var found struct {
		Attachments []struct {
			Port string `json:"port_id"`
		} `json:"interfaceAttachments"`
	}
	if err := s.Get(ctx, api.ServerURL(id)+"/os-interface", &found); err != nil {
		return nil, err
	}
	var ports []string
	for _, a := range found.Attachments {
		ports = append(ports, a.Port)
	}
	return ports, nil
}
