package compute

import (
	"encoding/json"
	"net/http"

	"bolide/rpc/nova"
	"bolide/test/controller/web"
)

func consoleOutput(r *request) error {
	var arg struct{ Length any }
	if err := r.read(&arg); err != nil {
		return err
	}
	raw, err := r.ask("get_console_output", map[string]any{"tail_length": arg.Length})
	if err != nil {
		return err
	}
	return r.JSON(http.StatusOK, map[string]string{"output": resultText(raw)})
}

// consoleMethods are how nodes are asked for a console, by protocol.
var consoleMethods = map[string]string{"vnc": "get_vnc_console", "spice": "get_spice_console", "serial": "get_serial_console"}

func (s *Service) remoteConsole(c *web.Call) error {
	var in struct {
		Console struct{ Protocol, Type string } `json:"remote_console"`
	}
	if err := c.Read(&in); err != nil {
		return err
	}
	method, known := consoleMethods[in.Console.Protocol]
	if !known {
		return web.Refuse(http.StatusBadRequest, "", "There is no console protocol %s.", in.Console.Protocol)
	}
	r, err := s.requestOf(c)
	if err != nil {
		return err
	}
	raw, err := r.ask(method, map[string]any{"console_type": in.Console.Type})
	if err != nil {
		return err
	}
	var console struct {
		URL string `json:"access_url"`
	}
	if err := json.Unmarshal(raw, &console); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"remote_console": map[string]string{
		"protocol": in.Console.Protocol, "type": in.Console.Type, "url": console.URL,
	}})
}

// requestOf is a call about an instance that is on a node.
func (s *Service) requestOf(c *web.Call) (*request, error) {
	inst, err := s.find(c, basics...)
	if err != nil {
		return nil, err
	}
	if inst.Host() == "" {
		return nil, web.Refuse(http.StatusConflict, "", "Instance %s is not ready", inst.UUID())
	}
	return &request{Service: s, Call: c, rc: s.context(c), inst: inst}, nil
}

func (s *Service) diagnostics(c *web.Call) error {
	r, err := s.requestOf(c)
	if err != nil {
		return err
	}
	raw, err := r.ask("get_instance_diagnostics", nil)
	if err != nil {
		return err
	}
	o, err := nova.Decode(raw)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, plain(o))
}

// plain is a versioned object as the API shows it.
func plain(v any) any {
	switch v := v.(type) {
	case *nova.Object:
		out := map[string]any{}
		for _, field := range v.Fields() {
			out[field] = plain(v.Raw(field))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	}
	return v
}
