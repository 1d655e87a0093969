package ops

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"bolide/test/openstack/api"
)

// An address of the test network, on a guest's console.
const address = `10\.77\.0\.\d+`

// greeting is user data, and greetingSum the MD5 sum by which the guest tells of
// them.
const (
	greeting    = "#!/bin/sh\necho hi\n"
	greetingSum = "46bbbe8aa98cc0714426e948474eaaf4"
)

func (s *Session) build(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	v, err := s.Wait(ctx, id, api.Active())
	if err != nil {
		return err
	}
	if v.Hypervisor == "" || len(v.Addresses) == 0 {
		return fmt.Errorf("no hypervisor or no addresses: %+v", v)
	}
	return nil
}

func (s *Session) guestSeesFlavorDisk(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	return s.Sees(ctx, id, `guest: disk vda bytes=1073741824`)
}

func (s *Session) guestHasNetwork(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	return s.Sees(ctx, id, `guest: nic eth0 mac=\S+ ip=`+address)
}

func (s *Session) guestReadsConfigDrive(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	return s.Sees(ctx, id, `guest: config-drive uuid=`+id, `guest: user-data `+greetingSum)
}

func (s *Session) buildTwoNICs(ctx context.Context) error {
	nic := map[string]any{"uuid": s.Network}
	return s.With(ctx, "two-nics", api.Options{"networks": []any{nic, nic}}, func(v api.Server) error {
		return s.Sees(ctx, v.ID, `guest: nic eth0 mac=\S+ ip=`+address, `guest: nic eth1 mac=\S+ ip=`+address)
	})
}

func (s *Session) twoGuestsTalk(ctx context.Context) error {
	return s.With(ctx, "talk-a", nil, func(a api.Server) error {
		if err := s.Sees(ctx, a.ID, `guest: ready`); err != nil {
			return err
		}
		peer := a.Address()
		return s.With(ctx, "talk-b", api.Options{"user_data": api.UserData("#ping " + peer + "\n")}, func(b api.Server) error {
			said, err := s.Console(ctx, b.ID, `guest: ping \S+ (ok|failed)`)
			if err == nil && said != "ok" {
				err = fmt.Errorf("ping of %s %s", peer, said)
			}
			return err
		})
	})
}

func (s *Session) buildSwapEphemeral(ctx context.Context) error {
	return s.withFlavor(ctx, api.Options{"ram": 192, "vcpus": 1, "disk": 1, "swap": 64, "OS-FLV-EXT-DATA:ephemeral": 1}, func(flavor string) error {
		return s.With(ctx, "disks", api.Options{"flavorRef": flavor}, func(v api.Server) error {
			return s.Sees(ctx, v.ID, `guest: disk vdb bytes=1073741824`, `guest: disk vdc bytes=67108864`)
		})
	})
}

func (s *Session) buildParallel(ctx context.Context) error {
	var ids []string
	for i := range 5 {
		id, err := s.Request(ctx, fmt.Sprintf("parallel-%d", i), nil)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	var errs []error
	for _, id := range ids {
		_, err := s.Wait(ctx, id, api.Active())
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.Drop(ctx, ids...))...)
}

func (s *Session) deleteWhileBuilding(ctx context.Context) error {
	id, err := s.Request(ctx, "quick", nil)
	if err != nil {
		return err
	}
	if err := s.Drop(ctx, id); err != nil {
		return err
	}
	return s.leavesNothing(ctx, id, nil)
}

func (s *Session) imageLargerThanFlavor(ctx context.Context) error {
	const disk = tempDir + "/large.qcow2"
	if err := qemuImg(ctx, "create", "-q", "-f", "qcow2", disk, "3G"); err != nil {
		return err
	}
	defer func() { _ = os.Remove(disk) }()
	image, err := s.addImage(ctx, api.Options{"name": "large", "disk_format": "qcow2", "container_format": "bare"}, disk)
	if err != nil {
		return err
	}
	id, err := s.Request(ctx, "large", api.Options{"imageRef": image})
	if err != nil {
		return err
	}
	v, err := s.Wait(ctx, id, faulty)
	if err != nil {
		return err
	}
	if v.Fault.Message == "" {
		err = errors.New("the fault has no message")
	}
	return errors.Join(err, s.dropCleanly(ctx, id), s.dropImage(ctx, image))
}

func (s *Session) delete(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	if err := s.Drop(ctx, id); err != nil {
		return err
	}
	domains, err := virsh(ctx, "list", "--all", "--uuid")
	if err == nil && strings.Contains(domains, id) {
		err = fmt.Errorf("domain %s is still defined", id)
	}
	return err
}

// deleteLeavesNothing looks for what the deleted guest could have left.
func (s *Session) deleteLeavesNothing(ctx context.Context) error {
	id, ports := s.server, s.ports
	if id == "" {
		return errors.New("delete did not run before")
	}
	s.server, s.ports = "", nil
	return s.leavesNothing(ctx, id, ports)
}

// withFlavor makes a flavor for one operation.
func (s *Session) withFlavor(ctx context.Context, o api.Options, use func(id string) error) error {
	id, err := s.addFlavor(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(use(id), s.Delete(ctx, api.Compute+"/flavors/"+id))
}

func (s *Session) addFlavor(ctx context.Context, o api.Options) (string, error) {
	s.flavors++
	o["name"] = fmt.Sprintf("ops-%d-%d", time.Now().Unix(), s.flavors)
	var out struct{ Flavor struct{ ID string } }
	err := s.Post(ctx, api.Compute+"/flavors", map[string]any{"flavor": o}, &out)
	return out.Flavor.ID, err
}
