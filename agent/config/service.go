package config

import "time"

// Placement is [placement].
type Placement struct{ Auth }

// ServiceUser is [service_user]: who Bolide is when it passes a user's token on.
type ServiceUser struct {
	Auth
	// SendServiceUserToken adds X-Service-Token. Default false.
	SendServiceUserToken bool `ini:"send_service_user_token" default:"false"`
}

// Glance is [glance].
type Glance struct {
	Auth
	// APIServers are image endpoints, instead of the catalogue. Default: unset.
	APIServers []string `ini:"api_servers"`
	// NumRetries repeats a failed request. Default 3.
	NumRetries int `ini:"num_retries" default:"3" min:"0"`
	// VerifyGlanceSignatures checks image signatures. Default false.
	VerifyGlanceSignatures bool `ini:"verify_glance_signatures" default:"false"`
	// EnableCertificateValidation checks their certificates. Default false.
	EnableCertificateValidation bool `ini:"enable_certificate_validation" default:"false"`
	// DefaultTrustedCertificateIDs are trusted where a user names none.
	DefaultTrustedCertificateIDs []string `ini:"default_trusted_certificate_ids" unused:"signatures of images"`
	// EnableRBDDownload reads images from Ceph directly. Default false.
	EnableRBDDownload bool `ini:"enable_rbd_download" default:"false" unused:"reading images from Ceph; they come over HTTP"`
	// RBDUser, RBDPool and RBDCephConf say where. Default: unset.
	RBDUser     string `ini:"rbd_user" unused:"reading images from Ceph; they come over HTTP"`
	RBDPool     string `ini:"rbd_pool" unused:"reading images from Ceph; they come over HTTP"`
	RBDCephConf string `ini:"rbd_ceph_conf" unused:"reading images from Ceph; they come over HTTP"`
}

// KeyManager is [key_manager].
type KeyManager struct {
	// Backend keeps certificates of signed images and secrets of emulated TPMs. Default barbican.
	Backend string `ini:"backend" default:"barbican" old:"api_class"`
}

// Barbican is [barbican], the key manager that Bolide knows. It is asked in the users' names.
type Barbican struct {
	// Endpoint is used instead of the catalogue. Default: unset.
	Endpoint string `ini:"barbican_endpoint"`
	// EndpointType is which one of the catalogue. Default public.
	EndpointType string `ini:"barbican_endpoint_type" default:"public" choices:"public,internal,admin"`
	// RegionName picks the region. Default: unset.
	RegionName string `ini:"barbican_region_name"`
	// VerifySSL verifies the service's certificate. Default true.
	VerifySSL bool `ini:"verify_ssl" default:"true"`
	// VerifySSLPath is who may have signed it. Default: the system's.
	VerifySSLPath string `ini:"verify_ssl_path"`
}

// Neutron is [neutron].
type Neutron struct {
	Auth
	// OVSBridge is the integration bridge. Default br-int.
	OVSBridge string `ini:"ovs_bridge" default:"br-int"`
	// ExtensionSyncInterval is how long extensions are kept. Unit s, default 600.
	ExtensionSyncInterval time.Duration `ini:"extension_sync_interval" default:"600" min:"0"`
	// HTTPRetries repeats a failed request. Default 3.
	HTTPRetries int `ini:"http_retries" default:"3" min:"0"`
	// Physnets have NUMA affinity, each with a section of its own. Default: none.
	Physnets []string `ini:"physnets"`
	// PhysnetNodes is numa_nodes of [neutron_physnet_NAME], by the network's name.
	PhysnetNodes map[string][]string
}

// NeutronTunnel is [neutron_tunnel].
type NeutronTunnel struct {
	// NUMANodes are near the cards that tunnels leave by. Default: none.
	NUMANodes []string `ini:"numa_nodes"`
}

// Cinder is [cinder].
type Cinder struct {
	Auth
	// CatalogInfo is service_type:service_name:interface. Default volumev3::publicURL.
	CatalogInfo string `ini:"catalog_info" default:"volumev3::publicURL"`
	// EndpointTemplate is used instead of the catalogue. Default: unset.
	EndpointTemplate string `ini:"endpoint_template"`
	// OSRegionName picks the region. Default: unset.
	OSRegionName string `ini:"os_region_name"`
	// HTTPRetries repeats a failed request. Default 3.
	HTTPRetries int `ini:"http_retries" default:"3" min:"0"`
}

// API is the options of [api] that decide what a guest reads as metadata.
type API struct {
	// DHCPDomain completes a guest's host name. Default novalocal.
	DHCPDomain string `ini:"dhcp_domain" default:"novalocal" old:"DEFAULT.dhcp_domain"`
	// ConfigDriveSkipVersions are EC2 versions left out of a config drive.
	ConfigDriveSkipVersions string `ini:"config_drive_skip_versions" default:"1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01" old:"DEFAULT.config_drive_skip_versions"`
	// VendordataProviders make vendor_data.json. Default StaticJSON.
	VendordataProviders []string `ini:"vendordata_providers" default:"StaticJSON" choices:"StaticJSON,DynamicJSON" old:"DEFAULT.vendordata_providers"`
	// VendordataJSONFilePath is StaticJSON's file. Default: unset.
	VendordataJSONFilePath string `ini:"vendordata_jsonfile_path" old:"DEFAULT.vendordata_jsonfile_path"`
	// VendordataDynamicTargets are DynamicJSON's, "name@url". Default: none.
	VendordataDynamicTargets []string `ini:"vendordata_dynamic_targets" old:"DEFAULT.vendordata_dynamic_targets" unused:"dynamic vendor data"`
}

// UpgradeLevels is [upgrade_levels]: versions not to exceed when sending. "",
// "auto", a release's name, or a number such as 6.0.
type UpgradeLevels struct {
	Compute   string `ini:"compute"`
	Conductor string `ini:"conductor"`
	Scheduler string `ini:"scheduler"`
}
