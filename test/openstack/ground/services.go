package ground

import (
	"context"
	"fmt"

	"bolide/test/openstack/api"
)

// conf returns the options that make an OpenStack program read these files.
func conf(files ...string) (args []string) {
	for _, f := range files {
		args = append(args, "--config-file", f)
	}
	return args
}

var (
	keystoneConf = conf("/etc/keystone/keystone.conf")
	glanceConf   = conf("/etc/glance/glance-api.conf")
	neutronConf  = conf("/etc/neutron/neutron.conf", "/etc/neutron/ml2.ini")
	novaConf     = conf("/etc/nova/nova.conf", "/etc/nova/nova-control.conf")
)

func command(program string, args ...[]string) []string {
	argv := []string{program}
	for _, a := range args {
		argv = append(argv, a...)
	}
	return argv
}

// wsgi runs a Python web application, as Debian's packages do.
func wsgi(name, script, address string, env ...string) service {
	return service{
		name: name,
		argv: []string{"uwsgi", "--plugin", "python3", "--http-socket", address, "--wsgi-file", script,
			"--master", "--processes", "1", "--threads", "4", "--enable-threads", "--lazy-apps", "--need-app",
			"--buffer-size", "65535", "--die-on-term", "--log-date", "--add-header", "Connection: close"},
		env:   env,
		ready: serves("http://" + address + "/"),
	}
}

var (
	mariadb = service{
		name: "mariadb",
		argv: []string{"mariadbd", "--user=mysql", "--socket=/run/mysqld/mysqld.sock", "--skip-networking",
			"--max-connections=600", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"},
		ready: answers("unix", "/run/mysqld/mysqld.sock"),
	}
	rabbitmq = service{
		name:  "rabbitmq",
		argv:  []string{"rabbitmq-server"},
		env:   []string{"RABBITMQ_NODENAME=cloud@localhost", "HOME=/var/lib/rabbitmq"},
		ready: answers("tcp", "127.0.0.1:5672"),
	}
	keystone  = wsgi("keystone", "/usr/bin/keystone-wsgi-public", "127.0.0.1:5000", "OS_KEYSTONE_CONFIG_FILES=/etc/keystone/keystone.conf")
	placement = wsgi("placement", "/usr/bin/placement-api", "127.0.0.1:8778", "OS_PLACEMENT_CONFIG_DIR=/etc/placement")
	glance    = service{
		name:  "glance",
		argv:  command("glance-api", glanceConf),
		ready: serves("http://127.0.0.1:9292/"),
	}
	neutronServer = service{
		name:  "neutron-server",
		argv:  command("neutron-server", neutronConf),
		ready: serves("http://127.0.0.1:9696/"),
	}
	neutronBridges = service{
		name:  "neutron-linuxbridge-agent",
		argv:  command("neutron-linuxbridge-agent", neutronConf, conf("/etc/neutron/linuxbridge.ini")),
		ready: agentReports("neutron-linuxbridge-agent", HostName),
	}
	neutronDHCP = service{
		name:  "neutron-dhcp-agent",
		argv:  command("neutron-dhcp-agent", neutronConf, conf("/etc/neutron/dhcp.ini")),
		ready: agentReports("neutron-dhcp-agent", HostName),
	}
	novaAPI = service{
		name:  "nova-api",
		argv:  command("nova-api", novaConf),
		ready: serves("http://127.0.0.1:8774/"),
	}
	// Nova's API decides by its configuration whether deleted guests are kept: this
	// one keeps them.
	novaKeepingAPI = service{
		name:  "nova-api-keeping",
		argv:  command("nova-api", novaConf, conf("/etc/nova/nova-keeping.conf")),
		ready: serves("http://127.0.0.1:8784/"),
	}
	novaConductor = service{name: "nova-conductor", argv: command("nova-conductor", novaConf)}
	novaScheduler = service{name: "nova-scheduler", argv: command("nova-scheduler", novaConf)}
	novaVNC       = service{
		name: "nova-novncproxy",
		argv: command("nova-novncproxy", novaConf, []string{"--web", "/usr/share/novnc"}),
	}
	virtlogd = service{name: "virtlogd", argv: []string{"virtlogd"}}
	libvirtd = service{
		name:  "libvirtd",
		argv:  []string{"libvirtd", "--timeout", "0"},
		ready: answers("unix", "/run/libvirt/libvirt-sock"),
	}
)

// agentReports is ready when Neutron takes its agent on a host for alive; before,
// it binds no port to that host.
func agentReports(binary, host string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := api.Connect(ctx)
		if err != nil {
			return err
		}
		var found struct{ Agents []struct{ Alive bool } }
		if err := c.Get(ctx, api.Network+"/agents?binary="+binary+"&host="+host, &found); err != nil {
			return err
		}
		for _, a := range found.Agents {
			if a.Alive {
				return nil
			}
		}
		return fmt.Errorf("neutron knows no %s on %s that is alive", binary, host)
	}
}
