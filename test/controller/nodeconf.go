package controller

import (
	"fmt"
	"strings"

	"bolide/test/controller/identity"
)

// NodeOptions describe a compute node of this control plane.
type NodeOptions struct {
	Host       string // name of the service; required
	StatePath  string // of its state, and of its instances below it; required
	LibvirtURI string // default qemu:///system
	VirtType   string // "qemu" (default) or "kvm"
	Socket     string // of `bolide status`; required
	// More is appended, for options of a test's own.
	More string
}

// NodeConf is the nova.conf of a compute node.
func (c *Controller) NodeConf(o NodeOptions) string {
	if o.LibvirtURI == "" {
		o.LibvirtURI = "qemu:///system"
	}
	if o.VirtType == "" {
		o.VirtType = "qemu"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `[DEFAULT]
host = %s
my_ip = 127.0.0.1
transport_url = %s
state_path = %s
instances_path = $state_path/instances
compute_driver = libvirt.LibvirtDriver
allow_resize_to_same_host = true
shutdown_timeout = 20

[libvirt]
virt_type = %s
cpu_mode = none
connection_uri = %s

[oslo_concurrency]
lock_path = $state_path/lock

[vnc]
enabled = true
server_listen = 127.0.0.1
server_proxyclient_address = 127.0.0.1
novncproxy_base_url = %s

[glance]
api_servers = %s

[service_user]
send_service_user_token = true
`, o.Host, c.o.BrokerURL, o.StatePath, o.VirtType, o.LibvirtURI, c.URL(consoleProxy), c.URL("image"))
	b.WriteString(c.credentials("nova"))
	for _, section := range []string{"placement", "neutron", "keystone_authtoken"} {
		fmt.Fprintf(&b, "\n[%s]\nregion_name = %s\n%s", section, identity.Region, c.credentials(section))
	}
	fmt.Fprintf(&b, "\n[bolide]\nsocket = %s\nsocket_group =\n%s", o.Socket, o.More)
	return b.String()
}

func (c *Controller) credentials(user string) string {
	return fmt.Sprintf(`auth_type = password
auth_url = %s
username = %s
password = %s
project_name = %s
user_domain_name = %s
project_domain_name = %s
`, c.URL("identity"), user, c.o.Password, identity.ServiceProject, identity.Domain, identity.Domain)
}
