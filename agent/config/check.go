package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// check holds the options against each other and against what Bolide is able
// to do. An option is refused, rather than ignored with a warning, where going
// on without it would lose data or security, or leave a node that cannot work.
//
// failed are the options whose values are known to be wrong already.
func (c *Config) check(failed map[ref]bool) []error {
	k := checker{c: c, failed: failed}
	k.hypervisor()
	k.storage()
	k.messaging()
	k.services()
	k.tracing()
	return k.errs
}

type checker struct {
	c      *Config
	failed map[ref]bool
	errs   []error
}

// refuse records that an option cannot be as it is.
func (k *checker) refuse(section, name, format string, args ...any) {
	if k.failed[ref{section, name}] {
		return
	}
	e := &ValueError{Option: ref{section, name}.String(), From: "default", Err: fmt.Errorf(format, args...)}
	for _, s := range k.c.settings {
		if s.Section == section && s.Name == name && s.From != "" {
			e.From = s.From
		}
	}
	k.errs = append(k.errs, e)
}

func (k *checker) hypervisor() {
	d, l := &k.c.Default, &k.c.Libvirt
	if d.ComputeDriver != "" && !strings.HasSuffix(d.ComputeDriver, "libvirt.LibvirtDriver") {
		k.refuse("DEFAULT", "compute_driver", "%q is not libvirt.LibvirtDriver, the only one Bolide has", d.ComputeDriver)
	}
	if d.ServicegroupDriver != "db" {
		k.refuse("DEFAULT", "servicegroup_driver", "%q would show this node as down: Bolide reports to the database only", d.ServicegroupDriver)
	}
	if len(d.ConfigSource) > 0 {
		k.refuse("DEFAULT", "config_source", "Bolide reads no remote configuration: what stands there would be lost")
	}
	if l.VirtType != "kvm" && l.VirtType != "qemu" {
		k.refuse("libvirt", "virt_type", "%q is not kvm or qemu", l.VirtType)
	}
	if l.FileBackedMemory > 0 {
		if r := d.RAMAllocationRatio; r == nil || *r != 1 {
			k.refuse("DEFAULT", "ram_allocation_ratio", "must be 1.0 with file_backed_memory")
		}
		if d.ReservedHostMemoryMB >= l.FileBackedMemory {
			k.refuse("DEFAULT", "reserved_host_memory_mb", "leaves nothing of file_backed_memory")
		}
	}
	if l.CPUMode == "custom" && len(l.CPUModels) == 0 {
		k.refuse("libvirt", "cpu_models", "needed where cpu_mode is custom")
	}
	if l.CPUMode != "custom" && len(l.CPUModels) > 0 && !k.failed[ref{"libvirt", "cpu_mode"}] {
		k.refuse("libvirt", "cpu_models", "cpu_mode must be custom, not %q", l.CPUMode)
	}
}

func (k *checker) storage() {
	if t := k.c.Libvirt.ImagesType; slices.Contains([]string{"lvm", "rbd", "ploop"}, t) {
		k.refuse("libvirt", "images_type", "Bolide does not keep disks in %s", t)
	}
	if k.c.Encryption.Enabled {
		k.refuse("ephemeral_storage_encryption", "enabled", "Bolide does not encrypt local disks")
	}
	k.keyManager()
	for _, dir := range k.c.Bolide.ImageStores {
		if !filepath.IsAbs(dir) {
			k.refuse("bolide", "image_stores", "%q is not an absolute path", dir)
		}
	}
}

// keyManager refuses a key manager that Bolide cannot ask, where it would have to.
func (k *checker) keyManager() {
	if slices.Contains(barbicans, k.c.KeyManager.Backend) {
		return
	}
	const refusal = "%q is not barbican, the only key manager that Bolide takes %s from"
	if g := &k.c.Glance; g.VerifyGlanceSignatures || g.EnableCertificateValidation {
		k.refuse("key_manager", "backend", refusal, k.c.KeyManager.Backend, "certificates of signed images")
	}
	if k.c.Libvirt.SWTPMEnabled {
		k.refuse("key_manager", "backend", refusal, k.c.KeyManager.Backend, "secrets of emulated TPMs")
	}
}

// barbicans are the names that castellan has for it.
var barbicans = []string{"barbican", "castellan.key_manager.barbican_key_manager.BarbicanKeyManager"}

func (k *checker) messaging() {
	r := &k.c.Rabbit
	if scheme, _, _ := strings.Cut(k.c.Default.TransportURL, "://"); scheme != "rabbit" && scheme != "kombu" && scheme != "amqp" && scheme != "" {
		k.refuse("DEFAULT", "transport_url", "%s is not rabbit, the only transport Bolide has", scheme)
	}
	if r.RabbitQuorumQueue && r.RabbitHAQueues {
		k.refuse("oslo_messaging_rabbit", "rabbit_ha_queues", "cannot be combined with rabbit_quorum_queue")
	}
	if r.RabbitStreamFanout && !r.RabbitTransientQuorumQueue {
		k.refuse("oslo_messaging_rabbit", "rabbit_stream_fanout", "needs rabbit_transient_quorum_queue")
	}
	if r.RabbitStreamFanout && r.RabbitQOSPrefetchCount == 0 {
		k.refuse("oslo_messaging_rabbit", "rabbit_qos_prefetch_count", "must be above 0 with rabbit_stream_fanout")
	}
	if r.SSLEnforceFIPSMode {
		k.refuse("oslo_messaging_rabbit", "ssl_enforce_fips_mode", "Bolide cannot enforce FIPS mode")
	}
	if r.RabbitLoginMethod == "RABBIT-CR-DEMO" {
		k.refuse("oslo_messaging_rabbit", "rabbit_login_method", "Bolide does not know %s", r.RabbitLoginMethod)
	}
}

func (k *checker) tracing() {
	b := &k.c.Bolide
	if u, err := url.Parse(b.TraceEndpoint); b.TraceEndpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		k.refuse("bolide", "trace_endpoint", "not an http or https URL")
	}
	for _, h := range b.TraceHeaders {
		if name, _, ok := strings.Cut(h, "="); !ok || strings.TrimSpace(name) == "" {
			k.refuse("bolide", "trace_headers", "not name=value,…")
		}
	}
}

// services looks at the credentials of the services that no node works without.
func (k *checker) services() {
	k.auth("placement", &k.c.Placement.Auth)
	k.auth("neutron", &k.c.Neutron.Auth)
	if k.c.ServiceUser.SendServiceUserToken {
		k.auth("service_user", &k.c.ServiceUser.Auth)
	}
}

func (k *checker) auth(section string, a *Auth) {
	if a.AuthSection != "" {
		section = normalSection(a.AuthSection)
	}
	switch a.AuthType {
	case "password", "v3password", "v3applicationcredential":
		if a.AuthURL == "" {
			k.refuse(section, "auth_url", "needed")
		}
	case "":
		k.refuse(section, "auth_type", "needed: password or v3applicationcredential")
	default:
		k.refuse(section, "auth_type", "Bolide does not know %q: use password or v3applicationcredential", a.AuthType)
	}
}
