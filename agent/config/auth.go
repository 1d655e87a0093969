package config

import "time"

// Auth is how one OpenStack service is reached and with whose credentials, as
// keystoneauth reads it from the service's section.
type Auth struct {
	Credentials
	// AuthSection names the section to take the credentials from. Default: this.
	AuthSection string `ini:"auth_section"`
	// CAFile verifies the service's certificate. Default: the system's.
	CAFile string `ini:"cafile"`
	// CertFile is the client certificate. Default: unset.
	CertFile string `ini:"certfile"`
	// KeyFile is the client certificate's key. Default: unset.
	KeyFile string `ini:"keyfile"`
	// Insecure skips verification. Default false.
	Insecure bool `ini:"insecure" default:"false"`
	// Timeout bounds one request; unset = Bolide's own bound. Unit s.
	Timeout time.Duration `ini:"timeout" min:"0"`

	// ServiceType finds the service in the catalogue; its default is the section's.
	ServiceType string `ini:"service_type"`
	// ServiceName narrows it. Default: unset.
	ServiceName string `ini:"service_name"`
	// ValidInterfaces are tried in order. Default internal,public.
	ValidInterfaces []string `ini:"valid_interfaces" default:"internal,public"`
	// RegionName picks the region. Default: unset.
	RegionName string `ini:"region_name"`
	// EndpointOverride is used instead of the catalogue. Default: unset.
	EndpointOverride string `ini:"endpoint_override"`
	// ConnectRetries repeats a failed connection. Default: unset.
	ConnectRetries *int `ini:"connect_retries" unused:"retries of connections; requests are repeated"`
	// ConnectRetryDelay is between them. Unit s (fractions allowed), default: unset.
	ConnectRetryDelay time.Duration `ini:"connect_retry_delay" kind:"float" min:"0" unused:"retries of connections; requests are repeated"`
	// StatusCodeRetries repeats a request answered by 503. Default: unset.
	StatusCodeRetries *int `ini:"status_code_retries" unused:"retries by status; requests are repeated"`
	// StatusCodeRetryDelay is between them. Unit s (fractions allowed), default: unset.
	StatusCodeRetryDelay time.Duration `ini:"status_code_retry_delay" kind:"float" min:"0" unused:"retries by status; requests are repeated"`
}

// Credentials are those of keystoneauth's password and
// v3applicationcredential plug-ins.
type Credentials struct {
	// AuthType is the plug-in; "" means no credentials.
	AuthType string `ini:"auth_type" old:"auth_plugin"`
	// AuthURL is Keystone's address.
	AuthURL string `ini:"auth_url"`

	Username       string `ini:"username" old:"user-name,user_name"`
	UserID         string `ini:"user_id"`
	UserDomainID   string `ini:"user_domain_id"`
	UserDomainName string `ini:"user_domain_name"`
	Password       string `ini:"password" secret:"all"`

	ProjectID         string `ini:"project_id" old:"tenant-id,tenant_id"`
	ProjectName       string `ini:"project_name" old:"tenant-name,tenant_name"`
	ProjectDomainID   string `ini:"project_domain_id"`
	ProjectDomainName string `ini:"project_domain_name"`
	DefaultDomainID   string `ini:"default_domain_id"`
	DefaultDomainName string `ini:"default_domain_name"`
	DomainID          string `ini:"domain_id"`
	DomainName        string `ini:"domain_name"`
	SystemScope       string `ini:"system_scope"`
	TrustID           string `ini:"trust_id"`

	ApplicationCredentialID     string `ini:"application_credential_id"`
	ApplicationCredentialName   string `ini:"application_credential_name"`
	ApplicationCredentialSecret string `ini:"application_credential_secret" secret:"all"`
}
