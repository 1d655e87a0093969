package compute

import (
	"context"
	"errors"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// Tasks is conductor's interface to which nodes give builds and moves back.
func (s *Service) Tasks() rpc.Endpoint {
	return rpc.Endpoint{Namespace: "compute_task", Version: "1.24", Methods: map[string]rpc.Handler{
		"build_instances": s.rebuildElsewhere,
		"migrate_server":  s.giveMoveUp,
	}}
}

// rebuildElsewhere places instances anew on a node that was not tried yet.
func (s *Service) rebuildElsewhere(_ context.Context, r *rpc.Request) (any, error) {
	args := nova.NewArgs(r.Args)
	instances, spec := args.Instances("instances"), args.RequestSpec("request_spec")
	filter := args.Dict("filter_properties")
	if err := args.Err(); err != nil {
		return nil, err
	}
	tried := map[string]bool{}
	retry, _ := filter["retry"].(map[string]any)
	hosts, _ := retry["hosts"].([]any)
	for _, h := range hosts {
		if pair, ok := h.([]any); ok && len(pair) > 0 {
			name, _ := pair[0].(string)
			tried[name] = true
		}
	}
	var errs []error
	for _, inst := range instances {
		errs = append(errs, s.placeAgain(r, inst, spec, tried))
	}
	return nil, errors.Join(errs...)
}

func (s *Service) placeAgain(r *rpc.Request, inst *nova.Instance, spec *nova.RequestSpec, tried map[string]bool) error {
	var candidates []computeNode
	var bdms []*nova.Object
	var o *nova.Object
	err := s.o.DB.View(r.Context, func(tx *cell.Tx) (err error) {
		if o, err = tx.Instance(inst.UUID(), createdParts...); err != nil {
			return err
		}
		if candidates, err = nodes(tx); err != nil {
			return err
		}
		bdms, err = tx.Rows("BlockDeviceMapping", func(b *nova.Object) bool { return b.Str("instance_uuid") == inst.UUID() })
		return err
	})
	if err != nil {
		return err
	}
	inst = nova.As[nova.Instance](o)
	chosen, err := s.schedule(candidates, inst, inst.Flavor().Object, tried)
	if err != nil {
		cause := nova.NewErrorText("MaxRetriesExceeded", "Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance "+inst.UUID()+".")
		return errors.Join(s.o.DB.Update(r.Context, func(tx *cell.Tx) error { return s.fail(tx, inst.UUID(), cause) }), s.network.Release(inst.UUID()))
	}
	args := map[string]any{
		"instance": inst, "image": map[string]any{}, "request_spec": spec, "filter_properties": filterProperties(chosen),
		"node": chosen.name, "limits": map[string]any{}, "host_list": []any{}, "accel_uuids": []any{},
		"block_device_mapping": s.o.DB.Profile().NewList("BlockDeviceMappingList", bdms...),
	}
	for _, name := range []string{"image", "admin_password", "injected_files", "requested_networks", "security_groups"} {
		if r.Has(name) {
			args[name] = r.Args[name]
		}
	}
	return s.cast(r.Context, chosen.host, "build_and_run_instance", args)
}

var createdParts = append([]string{
	"tags", "ec2_ids", "pci_requests", "vcpu_model", "keypairs", "device_metadata", "trusted_certs", "resources",
}, withNUMA...)

// giveMoveUp ends a resize that its node could not begin: there is no other.
func (s *Service) giveMoveUp(_ context.Context, r *rpc.Request) (any, error) {
	args := nova.NewArgs(r.Args)
	inst := args.Instance("instance")
	if err := args.Err(); err != nil {
		return nil, err
	}
	return nil, s.o.DB.Update(r.Context, func(tx *cell.Tx) error {
		o, err := tx.Instance(inst.UUID())
		if err != nil {
			return err
		}
		o.Set("task_state", nil)
		return errors.Join(tx.SaveInstance(o, nil), fault(tx, inst.UUID(), errNoValidHost))
	})
}
