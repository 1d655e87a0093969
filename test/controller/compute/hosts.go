package compute

import (
	"net/http"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/web"
)

func (s *Service) listHypervisors(c *web.Call) error {
	rc := s.context(c)
	list := []map[string]any{}
	err := s.o.DB.View(rc, func(tx *cell.Tx) error {
		rows, err := tx.Rows("ComputeNode", nil)
		if err != nil {
			return err
		}
		for _, n := range rows {
			service, err := tx.Service(n.Str("host"), "nova-compute")
			if err != nil {
				return err
			}
			if service != nil {
				list = append(list, hypervisorView(n, service, alive(service, tx.Now())))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, v := range list {
		if v["state"] == "up" {
			host := v["service"].(map[string]any)["host"].(string)
			raw, err := s.o.Caller.Call(c.Context(), rc, node(host), "get_host_uptime", nil)
			if err == nil {
				v["uptime"] = resultText(raw)
			}
		}
	}
	return c.JSON(http.StatusOK, map[string]any{"hypervisors": list})
}

func hypervisorView(n, service *nova.Object, up bool) map[string]any {
	state, enabled := "down", "enabled"
	if up {
		state = "up"
	}
	if service.Bool("disabled") {
		enabled = "disabled"
	}
	return map[string]any{
		"id": n.Str("uuid"), "hypervisor_hostname": n.Str("hypervisor_hostname"), "hypervisor_type": n.Str("hypervisor_type"),
		"hypervisor_version": n.Int("hypervisor_version"), "host_ip": n.Str("host_ip"), "state": state, "status": enabled, "uptime": nil,
		"service": map[string]any{"id": service.Str("uuid"), "host": service.Str("host"), "disabled_reason": service.Raw("disabled_reason")},
	}
}

func (s *Service) listServices(c *web.Call) error {
	list := []any{}
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) error {
		rows, err := tx.Rows("Service", nil)
		for _, r := range rows {
			state, enabled := "down", "enabled"
			if alive(r, tx.Now()) {
				state = "up"
			}
			if r.Bool("disabled") {
				enabled = "disabled"
			}
			list = append(list, map[string]any{
				"id": r.Str("uuid"), "binary": r.Str("binary"), "host": r.Str("host"), "zone": "nova", "state": state, "status": enabled,
				"updated_at": r.Raw("updated_at"), "disabled_reason": r.Raw("disabled_reason"), "forced_down": r.Bool("forced_down"),
			})
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"services": list})
}

func (s *Service) listActions(c *web.Call) error {
	list := []any{}
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) error {
		rows, err := tx.Actions(c.PathValue("id"))
		for _, a := range rows {
			list = append(list, actionView(a))
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"instanceActions": list})
}

func actionView(a *nova.Object) map[string]any {
	v := map[string]any{}
	for _, field := range []string{"action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message", "updated_at"} {
		v[field] = a.Raw(field)
	}
	return v
}

func (s *Service) showAction(c *web.Call) error {
	var v map[string]any
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) error {
		rows, err := tx.Actions(c.PathValue("id"))
		if err != nil {
			return err
		}
		for _, a := range rows {
			if a.Str("request_id") != c.PathValue("request") {
				continue
			}
			v = actionView(a)
			events, err := tx.Events(a)
			if err != nil {
				return err
			}
			list := []any{}
			for _, e := range events {
				view := map[string]any{}
				for _, field := range []string{"event", "start_time", "finish_time", "result", "traceback", "host", "details"} {
					view[field] = e.Raw(field)
				}
				list = append(list, view)
			}
			v["events"] = list
		}
		return nil
	})
	if err != nil {
		return err
	}
	if v == nil {
		return web.Refuse(http.StatusNotFound, "", "Action for request_id %s on instance %s not found", c.PathValue("request"), c.PathValue("id"))
	}
	return c.JSON(http.StatusOK, map[string]any{"instanceAction": v})
}
