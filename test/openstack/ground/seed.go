package ground

import (
	"context"
	"fmt"
	"os"

	"bolide/test/openstack/api"
)

// What the cloud offers a test.
const (
	ImageName   = "guest"    // boots, and tells on its console what it finds
	FlavorName  = "m1.tiny"  // 192 MiB, 1 CPU, 1 GiB
	NetworkName = "net1"     // flat, on the host's physical NIC, with DHCP
	physnet     = "physnet1" // which Neutron's agent maps to that NIC
)

// catalogue is every service's user, type and address.
var catalogue = []struct{ user, kind, url string }{
	{"glance", "image", "http://127.0.0.1:9292"},
	{"placement", "placement", api.Placement},
	{"neutron", "network", "http://127.0.0.1:9696"},
	{"nova", "compute", api.Compute},
}

// id is what most answers are asked for.
type id struct {
	ID string `json:"id"`
}

// seedCatalogue makes every service's user, entry and endpoints in Keystone.
func seedCatalogue(ctx context.Context) error {
	c, err := api.Connect(ctx)
	if err != nil {
		return err
	}
	create := func(kind string, what map[string]any) (string, error) {
		out := map[string]id{}
		err := c.Post(ctx, api.Identity+"/"+kind+"s", map[string]any{kind: what}, &out)
		return out[kind].ID, err
	}
	project, err := create("project", map[string]any{"name": "service", "domain_id": "default"})
	if err != nil {
		return err
	}
	serviceRole, err := create("role", map[string]any{"name": "service"})
	if err != nil {
		return err
	}
	adminRole, err := findRole(ctx, c, "admin")
	if err != nil {
		return err
	}
	for _, s := range catalogue {
		user, err := create("user", map[string]any{"name": s.user, "password": api.Password, "domain_id": "default"})
		if err != nil {
			return err
		}
		for _, role := range []string{serviceRole, adminRole} {
			if err := c.Put(ctx, fmt.Sprintf("%s/projects/%s/users/%s/roles/%s", api.Identity, project, user, role), nil, nil); err != nil {
				return err
			}
		}
		service, err := create("service", map[string]any{"name": s.user, "type": s.kind})
		if err != nil {
			return err
		}
		for _, i := range []string{"public", "internal", "admin"} {
			_, err := create("endpoint", map[string]any{"service_id": service, "interface": i, "url": s.url, "region_id": api.Region})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func findRole(ctx context.Context, c *api.Client, name string) (string, error) {
	var found struct{ Roles []id }
	if err := c.Get(ctx, api.Identity+"/roles?name="+name, &found); err != nil {
		return "", err
	}
	if len(found.Roles) != 1 {
		return "", fmt.Errorf("%d roles are named %s", len(found.Roles), name)
	}
	return found.Roles[0].ID, nil
}

// guestDisk is the image that guests boot from.
const guestDisk = "/run/guest.qcow2"

func seedImage(ctx context.Context) error {
	c, err := api.Connect(ctx)
	if err != nil {
		return err
	}
	disk, err := os.Open(guestDisk)
	if err != nil {
		return err
	}
	defer func() { _ = disk.Close() }()
	var image id
	err = c.Post(ctx, api.Image+"/images", map[string]any{
		"name": ImageName, "disk_format": "qcow2", "container_format": "bare", "visibility": "public",
	}, &image)
	if err != nil {
		return err
	}
	return c.Upload(ctx, image.ID, disk)
}

func seedNetwork(ctx context.Context) error {
	c, err := api.Connect(ctx)
	if err != nil {
		return err
	}
	var made struct{ Network id }
	err = c.Post(ctx, api.Network+"/networks", map[string]any{"network": map[string]any{
		"name": NetworkName, "shared": true, "port_security_enabled": false,
		"provider:network_type": "flat", "provider:physical_network": physnet,
	}}, &made)
	if err != nil {
		return err
	}
	return c.Post(ctx, api.Network+"/subnets", map[string]any{"subnet": map[string]any{
		"name": NetworkName, "network_id": made.Network.ID, "ip_version": 4, "cidr": "10.77.0.0/24",
	}}, nil)
}

func seedFlavor(ctx context.Context) error {
	c, err := api.Connect(ctx)
	if err != nil {
		return err
	}
	return c.Post(ctx, api.Compute+"/flavors", map[string]any{"flavor": map[string]any{
		"name": FlavorName, "ram": 192, "vcpus": 1, "disk": 1,
	}}, nil)
}
