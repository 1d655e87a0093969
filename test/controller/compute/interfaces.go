package compute

import (
	"encoding/json"
	"net/http"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/web"
)

func (s *Service) listInterfaces(c *web.Call) error {
	inst, err := s.find(c)
	if err != nil {
		return err
	}
	list, err := s.network.Attachments(inst.UUID())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"interfaceAttachments": list})
}

// attachInterface waits for the node: its answer is the new VIF.
func (s *Service) attachInterface(c *web.Call) error {
	var in struct {
		Attachment struct {
			Network  any `json:"net_id"`
			Port     any `json:"port_id"`
			FixedIPs []struct {
				Address string `json:"ip_address"`
			} `json:"fixed_ips"`
			Tag any `json:"tag"`
		} `json:"interfaceAttachment"`
	}
	if err := c.Read(&in); err != nil {
		return err
	}
	r, err := s.begin(c, action{name: "attach_interface", from: []nova.VMState{nova.VMActive, nova.VMPaused, nova.VMStopped}, parts: basics})
	if err != nil {
		return err
	}
	var address any
	if len(in.Attachment.FixedIPs) > 0 {
		address = in.Attachment.FixedIPs[0].Address
	}
	raw, err := r.ask("attach_interface", map[string]any{
		"network_id": in.Attachment.Network, "port_id": in.Attachment.Port, "requested_ip": address, "tag": in.Attachment.Tag,
	})
	if err != nil {
		return err
	}
	var vif struct{ ID string }
	if err := json.Unmarshal(raw, &vif); err != nil {
		return err
	}
	list, err := s.network.Attachments(r.inst.UUID())
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.PortID == vif.ID {
			return c.JSON(http.StatusOK, map[string]any{"interfaceAttachment": a})
		}
	}
	return web.Refuse(http.StatusInternalServerError, "", "The node attached port %s, which is not there.", vif.ID)
}

func (s *Service) detachInterface(c *web.Call) error {
	r, err := s.begin(c, action{
		name: "detach_interface", from: []nova.VMState{nova.VMActive, nova.VMPaused, nova.VMStopped}, parts: append([]string{"device_metadata"}, basics...),
	})
	if err != nil {
		return err
	}
	if err := r.tell("detach_interface", map[string]any{"port_id": c.PathValue("port")}); err != nil {
		return err
	}
	return c.Done(http.StatusAccepted)
}

// begin begins an action that has a resource of its own.
func (s *Service) begin(c *web.Call, a action) (*request, error) {
	r := &request{Service: s, Call: c, rc: s.context(c)}
	return r, refuse(s.o.DB.Update(r.rc, func(tx *cell.Tx) error { return r.begin(tx, a) }))
}
