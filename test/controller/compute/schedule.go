package compute

import (
	"errors"
	"time"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/placement"
)

// aliveFor is how long a service is taken for alive after it last reported
// (service_down_time).
const aliveFor = 60 * time.Second

// computeNode is a node that instances can be placed on.
type computeNode struct {
	host, name, uuid string
}

var errNoValidHost = errors.New("No valid host was found. There are not enough hosts available.") //nolint:staticcheck // Nova's text

// nodes lists the nodes of live, enabled services.
func nodes(tx *cell.Tx) ([]computeNode, error) {
	rows, err := tx.Rows("ComputeNode", nil)
	if err != nil {
		return nil, err
	}
	var out []computeNode
	for _, n := range rows {
		service, err := tx.Service(n.Str("host"), "nova-compute")
		if err != nil {
			return nil, err
		}
		if service != nil && alive(service, tx.Now()) && !service.Bool("disabled") {
			out = append(out, computeNode{n.Str("host"), n.Str("hypervisor_hostname"), n.Str("uuid")})
		}
	}
	return out, nil
}

func alive(service *nova.Object, now time.Time) bool {
	return !service.Bool("forced_down") && now.Sub(service.Time("last_seen_up")) < aliveFor
}

// resources is what an instance of a flavor takes of Placement.
func resources(f *nova.Object) map[string]int {
	r := map[string]int{
		"VCPU": int(f.Int("vcpus")), "MEMORY_MB": int(f.Int("memory_mb")),
		"DISK_GB": int(f.Int("root_gb") + f.Int("ephemeral_gb") + (f.Int("swap")+1023)/1024),
	}
	for class, n := range r {
		if n == 0 {
			delete(r, class)
		}
	}
	return r
}

// schedule chooses the first node that is not among the excluded hosts and has
// enough left, and claims it for the consumer.
func (s *Service) schedule(candidates []computeNode, inst *nova.Instance, f *nova.Object, excluded map[string]bool) (computeNode, error) {
	for _, n := range candidates {
		if excluded[n.host] {
			continue
		}
		err := s.o.Placement.Claim(placement.Claim{
			Consumer: inst.UUID(), Provider: n.uuid, ProjectID: inst.ProjectID(), UserID: inst.UserID(), Resources: resources(f),
		})
		if err == nil {
			return n, nil
		}
		s.o.Log.WithError(err).WithField("host", n.host).WithField("instance", inst.UUID()).Info("the node has no room")
	}
	return computeNode{}, errNoValidHost
}

// fault notes an error as an instance's fault, as the one who cannot place it.
func fault(tx *cell.Tx, instance string, err error) error {
	o := tx.Profile().New("InstanceFault")
	o.Set("instance_uuid", instance)
	o.Set("code", 500)
	o.Set("message", err.Error())
	o.Set("details", "")
	o.Set("host", nil)
	return tx.Create(o)
}

// fail puts an instance into error, with a fault.
func (s *Service) fail(tx *cell.Tx, instance string, cause error) error {
	o, err := tx.Instance(instance)
	if err != nil {
		return err
	}
	o.Set("vm_state", string(nova.VMError))
	o.Set("task_state", nil)
	return errors.Join(tx.SaveInstance(o, nil), fault(tx, instance, cause))
}
