package ops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"bolide/test/openstack/api"
)

// editRecord: what a user notes on a guest is kept, and the guest runs on.
func (s *Session) editRecord(ctx context.Context) error {
	return s.withSmall(ctx, "record", api.Options{"metadata": map[string]any{"a": "1", "b": "2"}}, func(id string) error {
		before, err := virsh(ctx, "domid", id)
		if err != nil {
			return err
		}
		url := api.ServerURL(id)
		err = errors.Join(
			s.Put(ctx, url, map[string]any{"server": map[string]any{"name": "renamed", "description": "edited"}}, nil),
			s.Post(ctx, url+"/metadata", map[string]any{"metadata": map[string]any{"a": "3", "c": "4"}}, nil),
			s.Delete(ctx, url+"/metadata/b"),
			s.Put(ctx, url+"/tags", map[string]any{"tags": []string{"blue"}}, nil),
			s.Delete(ctx, url+"/os-server-password"),
		)
		if err != nil {
			return err
		}
		v, err := s.Wait(ctx, id, api.Active())
		if err != nil {
			return err
		}
		if v.Name != "renamed" || !maps.Equal(v.Metadata, map[string]string{"a": "3", "c": "4"}) || len(v.Tags) != 1 {
			return fmt.Errorf("record is %+v", v)
		}
		if after, err := virsh(ctx, "domid", id); err != nil || after != before {
			return fmt.Errorf("domain is number %s, was %s: %w", strings.TrimSpace(after), strings.TrimSpace(before), err)
		}
		return nil
	})
}

// publicKey is nobody's.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAII538tO6UluYBUB0LDCwJZs6ShTfbT8Hr+gl7jwlXuGj ops"

// rebuildAnew: a guest that is rebuilt can become another one, of another image,
// with another name and other data; only its disk's size and its address stay.
func (s *Session) rebuildAnew(ctx context.Context) error {
	key := map[string]any{"keypair": map[string]any{"name": "ops", "type": "ssh", "public_key": publicKey}}
	if err := s.Post(ctx, api.Compute+"/os-keypairs", key, nil); err != nil {
		return err
	}
	err := s.withSmall(ctx, "before", api.Options{"flavorRef": s.Flavor, "metadata": map[string]any{"k": "old"}}, func(id string) error {
		err := s.changeOf(ctx, id, turn{"rebuild", map[string]any{
			"imageRef": s.Image, "name": "after", "hostname": "after", "key_name": "ops",
			"metadata": map[string]any{"k": "new"}, "user_data": api.UserData(greeting),
		}, api.Active()})
		if err != nil {
			return err
		}
		return s.Sees(ctx, id, `guest: config-drive uuid=`+id+` hostname=after`,
			`guest: "meta":.*"k": *"new"`, `guest: "public_keys":.*`+regexp.QuoteMeta(publicKey), `guest: user-data `+greetingSum)
	})
	return errors.Join(err, s.Delete(ctx, api.Compute+"/os-keypairs/ops"))
}

// rebuildStopped: a guest that is off is still off when it is rebuilt.
func (s *Session) rebuildStopped(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		return s.changeOf(ctx, id,
			turn{"os-stop", nil, stopped},
			turn{"rebuild", map[string]any{"imageRef": s.small.image}, stopped},
			turn{"os-start", nil, api.Active()})
	})
}

// configDriveOff: without a config drive a guest asks the network.
func (s *Session) configDriveOff(ctx context.Context) error {
	return s.With(ctx, "no-drive", api.Options{"config_drive": false}, func(v api.Server) error {
		return s.Sees(ctx, v.ID, `guest: nic eth0 mac=\S+ ip=`+address, `guest: config-drive none`)
	})
}

// resizeStopped: a guest that is off gets another flavor with a disk of the same
// size, once to keep and once to give back, and stays off.
func (s *Session) resizeStopped(ctx context.Context) error {
	return s.withFlavor(ctx, api.Options{"ram": 96, "vcpus": 2, "disk": 1}, func(more string) error {
		return s.onSpare(ctx, func(id string) error {
			err := s.changeOf(ctx, id,
				turn{"os-stop", nil, stopped},
				turn{"resize", map[string]any{"flavorRef": more}, aside}, turn{"confirmResize", nil, stopped},
				turn{"resize", map[string]any{"flavorRef": s.small.flavor}, aside}, turn{"revertResize", nil, stopped},
				turn{"os-start", nil, api.Active()})
			if err != nil {
				return err
			}
			v, err := s.Show(ctx, id)
			if err == nil && (v.Flavor.RAM != 96 || v.Flavor.VCPUs != 2) {
				err = fmt.Errorf("flavor is %+v", v.Flavor)
			}
			return err
		})
	})
}

// shelveStopped: a guest that is off can be shelved; unshelved, it runs.
func (s *Session) shelveStopped(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		err := s.changeOf(ctx, id, turn{"os-stop", nil, stopped}, turn{"shelve", nil, offloaded}, turn{"unshelve", nil, api.Active()})
		if err != nil {
			return err
		}
		return s.boots(ctx, id)
	})
}
