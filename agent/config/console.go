package config

import "time"

// VNC is [vnc].
type VNC struct {
	// Enabled gives guests a VNC console. Default true.
	Enabled bool `ini:"enabled" default:"true" old:"DEFAULT.vnc_enabled"`
	// ServerListen is where QEMU listens. Default 127.0.0.1.
	ServerListen string `ini:"server_listen" default:"127.0.0.1" kind:"host"`
	// ServerProxyclientAddress is where the proxy reaches it. Default 127.0.0.1.
	ServerProxyclientAddress string `ini:"server_proxyclient_address" default:"127.0.0.1" kind:"host"`
	// NoVNCProxyBaseURL is what users open. Default http://127.0.0.1:6080/vnc_auto.html.
	NoVNCProxyBaseURL string `ini:"novncproxy_base_url" default:"http://127.0.0.1:6080/vnc_auto.html" kind:"uri" old:"DEFAULT.novncproxy_base_url"`
}

// SPICE is [spice].
type SPICE struct {
	// Enabled gives guests a SPICE console. Default false.
	Enabled bool `ini:"enabled" default:"false"`
	// AgentEnabled gives guests a channel for the SPICE agent. Default true.
	AgentEnabled bool `ini:"agent_enabled" default:"true"`
	// ServerListen is where QEMU listens. Default 127.0.0.1.
	ServerListen string `ini:"server_listen" default:"127.0.0.1"`
	// ServerProxyclientAddress is where the proxy reaches it. Default 127.0.0.1.
	ServerProxyclientAddress string `ini:"server_proxyclient_address" default:"127.0.0.1"`
	// HTML5ProxyBaseURL is what users open. Default http://127.0.0.1:6082/spice_auto.html.
	HTML5ProxyBaseURL string `ini:"html5proxy_base_url" default:"http://127.0.0.1:6082/spice_auto.html" kind:"uri"`
}

// Serial is [serial_console].
type Serial struct {
	// Enabled gives guests an interactive serial console. Default false.
	Enabled bool `ini:"enabled" default:"false"`
	// PortRange is for QEMU to listen on, FROM:TO. Default 10000:20000.
	PortRange string `ini:"port_range" default:"10000:20000"`
	// BaseURL is what users open. Default ws://127.0.0.1:6083/.
	BaseURL string `ini:"base_url" default:"ws://127.0.0.1:6083/" kind:"uri"`
	// ProxyclientAddress is where the proxy reaches it. Default 127.0.0.1.
	ProxyclientAddress string `ini:"proxyclient_address" default:"127.0.0.1"`
}

// ConsoleAuth is [consoleauth].
type ConsoleAuth struct {
	// TokenTTL is how long a console's token lets its user in. Unit s, default 600.
	TokenTTL time.Duration `ini:"token_ttl" default:"600" min:"0" old:"DEFAULT.console_token_ttl"`
}
