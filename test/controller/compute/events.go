package compute

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/network"
	"bolide/test/controller/web"
)

// Notify takes an event of a port; Run passes it on.
func (s *Service) Notify(e network.Event) {
	select {
	case s.events <- e:
	default:
		s.o.Log.WithField("port", e.Port).Error("too many events wait: one is dropped")
	}
}

// Run passes events on to the instances' nodes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		select {
		case e := <-s.events:
			if _, err := s.pass(rpc.AdminContext(), []event{{e.Name, e.Instance, e.Port, "completed"}}); err != nil {
				s.o.Log.WithError(err).WithField("port", e.Port).Warn("an event could not be passed on")
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// event is an external event as Neutron and Cinder send them.
type event struct {
	Name     string `json:"name"`
	Instance string `json:"server_uuid"`
	Tag      string `json:"tag"`
	Status   string `json:"status"`
}

func (s *Service) takeEvents(c *web.Call) error {
	var in struct{ Events []event }
	if err := c.Read(&in); err != nil {
		return err
	}
	answers, err := s.pass(s.context(c), in.Events)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"events": answers})
}

// pass sends events to the nodes of their instances, one cast for each node, and
// says what became of each.
func (s *Service) pass(rc rpc.Context, events []event) ([]any, error) {
	type batch struct{ instances, events []*nova.Object }
	hosts := map[string]*batch{}
	var answers []any
	err := s.o.DB.View(rc, func(tx *cell.Tx) error {
		for _, e := range events {
			code := http.StatusOK
			inst, err := tx.Instance(e.Instance, append([]string{"migration_context"}, withFlavor...)...)
			switch {
			case nova.Is(err, "InstanceNotFound"):
				code = http.StatusNotFound
			case err != nil:
				return err
			case inst.Str("host") == "":
				code = http.StatusUnprocessableEntity
			default:
				b := hosts[inst.Str("host")]
				if b == nil {
					b = &batch{}
					hosts[inst.Str("host")] = b
				}
				b.instances, b.events = append(b.instances, inst), append(b.events, eventObject(tx.Profile(), e))
			}
			answers = append(answers, map[string]any{
				"name": e.Name, "server_uuid": e.Instance, "tag": e.Tag, "status": e.Status, "code": code,
			})
		}
		return nil
	})
	for host, b := range hosts {
		err = errors.Join(err, s.cast(rc, host, "external_instance_event", map[string]any{"instances": b.instances, "events": b.events}))
	}
	if err != nil {
		err = fmt.Errorf("pass events on: %w", err)
	}
	return answers, err
}

func eventObject(p nova.Profile, e event) *nova.Object {
	o := p.New("InstanceExternalEvent")
	o.Set("instance_uuid", e.Instance)
	o.Set("name", e.Name)
	o.Set("status", e.Status)
	o.Set("tag", e.Tag)
	return o
}
