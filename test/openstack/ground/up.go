package ground

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bolide/test/guest"
	"bolide/test/openstack/api"
)

// Cloud is a running OpenStack. Its methods must be called inside.
type Cloud struct {
	processes processes
}

// Options say how a cloud is brought up. All are required.
type Options struct {
	GuestKernel string // directory in which the package of the guests' kernel is unpacked
	// Report is called for each part that is done, by several goroutines at once.
	Report func(part string, took time.Duration)
}

// Up brings the whole cloud up, but for the compute node: databases, services,
// catalogue, image, flavor and network. Nothing of an earlier run is used.
func Up(ctx context.Context, o Options) (*Cloud, error) {
	c := &Cloud{}
	start := func(s service) func(context.Context) error {
		return func(ctx context.Context) error { return c.processes.start(ctx, s) }
	}
	manage := func(argv ...string) func(context.Context) error {
		return func(ctx context.Context) error { return run(ctx, "bootstrap-"+argv[0], argv...) }
	}
	nova := func(args ...string) func(context.Context) error {
		return manage(command("nova-manage", novaConf, args)...)
	}
	err := runTasks(ctx, []task{
		// The longest way goes first: what it needs of the machine, it gets.
		{"links", nil, addLinks},
		{"database", []string{"links"}, startDatabase(start(mariadb))},
		{"nova cell schema", []string{"database"}, nova("db", "sync", "--local_cell")},
		{"nova api schema", []string{"database"}, nova("api_db", "sync")},
		{"keystone schema", []string{"database"}, manage(command("keystone-manage", keystoneConf, []string{"db_sync"})...)},
		{"keystone admin", []string{"keystone schema"}, bootstrapKeystone},
		{"keystone", []string{"keystone admin"}, start(keystone)},
		{"catalogue", []string{"keystone"}, seedCatalogue},
		{"neutron schema", []string{"database"}, manage(command("neutron-db-manage", neutronConf, []string{"upgrade", "head"})...)},
		{"broker", []string{"links"}, start(rabbitmq)},
		{"neutron", []string{"neutron schema", "broker", "catalogue"}, start(neutronServer)},
		{"neutron bridge agent", []string{"neutron"}, start(neutronBridges)},
		{"neutron dhcp agent", []string{"neutron"}, start(neutronDHCP)},
		{"nova cell 0", []string{"nova api schema"}, nova("cell_v2", "map_cell0")},
		{"nova cell 1", []string{"nova cell 0"}, nova("cell_v2", "create_cell", "--name", "cell1")},
		{"nova cell 0 schema", []string{"nova cell 1", "nova cell schema"}, nova("db", "sync")},
		{"placement schema", []string{"database"}, manage("placement-manage", "--config-file", "/etc/placement/placement.conf", "db", "sync")},
		{"placement", []string{"placement schema"}, start(placement)},
		{"nova", []string{"nova cell 0 schema", "broker", "catalogue"}, func(ctx context.Context) error {
			for _, s := range []service{novaConductor, novaScheduler, novaVNC, novaKeepingAPI, novaAPI} {
				if err := c.processes.start(ctx, s); err != nil {
					return err
				}
			}
			return nil
		}},
		{"glance schema", []string{"database"}, manage(command("glance-manage", glanceConf, []string{"db_sync"})...)},
		{"glance", []string{"glance schema"}, start(glance)},
		{"libvirt", []string{"links"}, func(ctx context.Context) error {
			if err := c.processes.start(ctx, virtlogd); err != nil {
				return err
			}
			return c.processes.start(ctx, libvirtd)
		}},
		// Asked for the first time, libvirt runs every QEMU there is.
		{"capabilities", []string{"libvirt"}, func(ctx context.Context) error {
			return run(ctx, "capabilities", "virsh", "--connect", "qemu:///system", "capabilities")
		}},
		{"guest image", nil, func(ctx context.Context) error {
			return guest.Build(ctx, guest.Options{Kernel: o.GuestKernel, Out: guestDisk})
		}},
		{"image", []string{"glance", "catalogue", "guest image"}, seedImage},
		{"network", []string{"neutron dhcp agent", "neutron bridge agent"}, seedNetwork},
		{"flavor", []string{"nova"}, seedFlavor},
	}, o.Report)
	if err != nil {
		return nil, fmt.Errorf("bring the cloud up: %w", err)
	}
	return c, nil
}

// addLinks makes the loopback work, and a pair of links of which one is the
// host's physical NIC.
func addLinks(ctx context.Context) error {
	return links(ctx, "link set lo up", "link add phys0 type veth peer name phys1", "link set phys0 up", "link set phys1 up")
}

// databases are one for each service, and one for Nova's cell of failed builds.
var databases = []string{"keystone", "glance", "placement", "neutron", "nova_api", "nova", "nova_cell0"}

func startDatabase(start func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run(ctx, "mariadb-install", "mariadb-install-db", "--user=mysql", "--auth-root-authentication-method=normal", "--skip-test-db")
		if err != nil {
			return err
		}
		if err := start(ctx); err != nil {
			return err
		}
		var sql strings.Builder
		for _, d := range databases {
			fmt.Fprintf(&sql, "create database %s character set utf8;", d)
		}
		return run(ctx, "mariadb-install", "mariadb", "--user=root", "--socket=/run/mysqld/mysqld.sock", "--execute", sql.String())
	}
}

// bootstrapKeystone makes the token keys and the administrator.
func bootstrapKeystone(ctx context.Context) error {
	const dir = "/etc/keystone/fernet-keys"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"0", "1"} { // the next key, and the one in use
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(base64.URLEncoding.EncodeToString(key)), 0o600); err != nil {
			return err
		}
	}
	return run(ctx, "bootstrap-keystone-manage", command("keystone-manage", keystoneConf, []string{"bootstrap",
		"--bootstrap-password", api.Password, "--bootstrap-region-id", api.Region,
		"--bootstrap-admin-url", api.Identity, "--bootstrap-internal-url", api.Identity, "--bootstrap-public-url", api.Identity})...)
}
