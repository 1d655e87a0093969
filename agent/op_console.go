package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"libvirt.org/go/libvirtxml"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// consoleKind is one kind of graphical or serial console that a guest may have.
type consoleKind struct {
	method  string // the RPC method that asks for it
	accepts string // the console type a caller may name

	// settings says whether the kind is switched on, what URL the user is given, and which address the proxy
	// reaches this host by.
	settings func(a *Agent) consoleSettings
	// port finds the guest's port for it; "" when it has none.
	port func(d *libvirtxml.Domain) string
}

type consoleSettings struct {
	enabled        bool
	baseURL, proxy string
}

var vncConsole = consoleKind{
	method: "get_vnc_console", accepts: "novnc",
	settings: func(a *Agent) consoleSettings {
		return consoleSettings{a.cfg.VNC.Enabled, a.cfg.VNC.NoVNCProxyBaseURL, a.cfg.VNC.ServerProxyclientAddress}
	},
	port: func(d *libvirtxml.Domain) string {
		for _, g := range d.Devices.Graphics {
			if g.VNC != nil && g.VNC.Port > 0 {
				return strconv.Itoa(g.VNC.Port)
			}
		}
		return ""
	},
}

var spiceConsole = consoleKind{
	method: "get_spice_console", accepts: "spice-html5",
	settings: func(a *Agent) consoleSettings {
		return consoleSettings{a.cfg.SPICE.Enabled, a.cfg.SPICE.HTML5ProxyBaseURL, a.cfg.SPICE.ServerProxyclientAddress}
	},
	port: func(d *libvirtxml.Domain) string {
		for _, g := range d.Devices.Graphics {
			if g.Spice != nil && g.Spice.Port > 0 {
				return strconv.Itoa(g.Spice.Port)
			}
		}
		return ""
	},
}

var serialConsole = consoleKind{
	method: "get_serial_console", accepts: "serial",
	settings: func(a *Agent) consoleSettings {
		return consoleSettings{a.cfg.Serial.Enabled, a.cfg.Serial.BaseURL, a.cfg.Serial.ProxyclientAddress}
	},
	port: func(d *libvirtxml.Domain) string {
		for _, c := range d.Devices.Consoles {
			if c.Source != nil && c.Source.TCP != nil && c.Source.TCP.Mode == "bind" {
				return c.Source.TCP.Service
			}
		}
		return ""
	},
}

// opVNCConsole, opSPICEConsole and opSerialConsole give the user a way to the guest's console:
// POST /servers/{id}/remote-consoles.
func opVNCConsole(*Agent) operation    { return vncConsole.operation() }
func opSPICEConsole(*Agent) operation  { return spiceConsole.operation() }
func opSerialConsole(*Agent) operation { return serialConsole.operation() }

// opRDPConsole and opMKSConsole are for other hypervisors.
func opRDPConsole(*Agent) operation { return consoleOfOthers("get_rdp_console") }
func opMKSConsole(*Agent) operation { return consoleOfOthers("get_mks_console") }

func consoleOfOthers(method string) operation {
	return operation{method: method, do: func(_ context.Context, t *task) (any, error) {
		kind, err := t.consoleType()
		if err != nil {
			return nil, err
		}
		return nil, nova.NewError("ConsoleTypeUnavailable", map[string]any{"console_type": kind})
	}}
}

func (k consoleKind) operation() operation {
	return operation{
		method: k.method, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) { return t.openConsole(ctx, k) },
	}
}

func (t *task) consoleType() (string, error) {
	var kind string
	return kind, t.req.Arg("console_type", &kind)
}

// openConsole makes a token with which the proxy lets the user through to the guest's console.
func (t *task) openConsole(ctx context.Context, k consoleKind) (any, error) {
	kind, err := t.consoleType()
	if err != nil {
		return nil, err
	}
	s := k.settings(t.Agent)
	if !s.enabled {
		return nil, nova.NewError("ConsoleTypeUnavailable", map[string]any{"console_type": kind})
	}
	if kind != k.accepts {
		return nil, nova.NewError("ConsoleTypeInvalid", map[string]any{"console_type": kind})
	}
	port, err := t.consolePort(ctx, k)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("console port %q of instance %s: %w", port, t.inst.UUID(), err)
	}
	token := nova.As[nova.ConsoleAuthToken](t.cond.Profile().New("ConsoleAuthToken"))
	token.Set("console_type", kind)
	token.Set("host", s.proxy)
	token.Set("port", number)
	token.Set("internal_access_path", nil)
	token.Set("instance_uuid", t.inst.UUID())
	token.Set("access_url_base", s.baseURL)
	if _, err := t.cond.AuthorizeConsole(ctx, token, time.Duration(t.cfg.ConsoleAuth.TokenTTL)); err != nil {
		return nil, fmt.Errorf("authorize console of instance %s: %w", t.inst.UUID(), err)
	}
	info := map[string]any{
		"host": s.proxy, "port": port, "internal_access_path": nil,
		"token": token.Token(), "access_url": token.AccessURL(),
	}
	if k.accepts == spiceConsole.accepts {
		info["tlsPort"] = nil
	}
	return info, nil
}

// consolePort is where the guest serves its console of the kind.
func (t *task) consolePort(ctx context.Context, k consoleKind) (string, error) {
	d, err := t.domain(ctx)
	if err != nil {
		return "", err
	}
	if port := k.port(d); port != "" {
		return port, nil
	}
	return "", nova.NewError("ConsoleTypeUnavailable", map[string]any{"console_type": k.accepts})
}

// opValidateConsolePort tells the console proxy whether a token's port is still the guest's.
func opValidateConsolePort(*Agent) operation {
	return operation{
		method: "validate_console_port",
		do: func(ctx context.Context, t *task) (any, error) {
			kind, err := t.consoleType()
			if err != nil {
				return nil, err
			}
			asked, err := textOrNumber(t.req.Args["port"])
			if err != nil {
				return nil, fmt.Errorf("argument port: %w", err)
			}
			k := vncConsole
			for _, other := range []consoleKind{spiceConsole, serialConsole} {
				if kind == other.accepts {
					k = other
				}
			}
			port, err := t.consolePort(ctx, k)
			return port != "" && port == asked, err
		},
	}
}

// textOrNumber reads what may come as a JSON text or number.
func textOrNumber(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var n json.Number
	err := json.Unmarshal(raw, &n)
	return n.String(), err
}

// domain reads the guest's live definition.
func (t *task) domain(ctx context.Context) (*libvirtxml.Domain, error) {
	text, err := t.hypervisor.XML(ctx, t.inst.UUID(), hypervisor.XMLOptions{})
	if err != nil {
		return nil, t.guestError(err)
	}
	d := &libvirtxml.Domain{Devices: &libvirtxml.DomainDeviceList{}}
	if err := d.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("read the domain of instance %s: %w", t.inst.UUID(), err)
	}
	return d, nil
}
