// Package config reads nova.conf exactly as oslo.config does for nova-compute:
// several files and directories, later ones winning, "$option" references,
// OS_SECTION__OPTION variables, old names of options, and values spelled in any
// way that oslo.config accepts.
//
// Config holds what Bolide understands, one nested struct per section. A field
// and its tags are the only declaration of an option (see option). Options that
// nova-compute has and Bolide does not use are listed in known/ignored.conf,
// those of Nova's other services in known/elsewhere.conf.
//
// The package starts no goroutines; a loaded Config is not changed any more and
// may be read from any goroutine.
package config

// Config is one nova.conf. Comments give each option's meaning, unit and Zed
// default; "unset" means no value: "" or nil or 0.
type Config struct {
	Default       Default       `section:"DEFAULT"`
	API           API           `section:"api"`
	Barbican      Barbican      `section:"barbican"`
	Bolide        Bolide        `section:"bolide"`
	Cinder        Cinder        `section:"cinder"`
	Compute       Compute       `section:"compute"`
	ConsoleAuth   ConsoleAuth   `section:"consoleauth"`
	Devices       Devices       `section:"devices"`
	Encryption    Encryption    `section:"ephemeral_storage_encryption"`
	Scheduler     Scheduler     `section:"filter_scheduler"`
	Glance        Glance        `section:"glance" defaults:"service_type=image" formerly:"cafile=ssl.ca_file certfile=ssl.cert_file keyfile=ssl.key_file insecure=api_insecure"`
	ImageCache    ImageCache    `section:"image_cache"`
	KeyManager    KeyManager    `section:"key_manager"`
	Libvirt       Libvirt       `section:"libvirt"`
	Neutron       Neutron       `section:"neutron" defaults:"service_type=network"`
	NeutronTunnel NeutronTunnel `section:"neutron_tunnel"`
	Notifications Notifications `section:"notifications"`
	Notifier      Notifier      `section:"oslo_messaging_notifications"`
	LinuxBridge   LinuxBridge   `section:"os_vif_linux_bridge"`
	OVS           OVS           `section:"os_vif_ovs"`
	PCI           PCI           `section:"pci"`
	Placement     Placement     `section:"placement" defaults:"service_type=placement"`
	Rabbit        Rabbit        `section:"oslo_messaging_rabbit"`
	Serial        Serial        `section:"serial_console"`
	ServiceUser   ServiceUser   `section:"service_user"`
	SPICE         SPICE         `section:"spice"`
	UpgradeLevels UpgradeLevels `section:"upgrade_levels"`
	VNC           VNC           `section:"vnc"`
	Workarounds   Workarounds   `section:"workarounds"`

	settings []Setting
}
