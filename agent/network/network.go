// Package network is what a node does with Neutron for one instance: it makes or
// takes the instance's ports, binds them to this host, gives them back, and
// builds the network information that is cached with the instance.
//
// Its requests go side by side wherever one does not need the other's answer: a
// boot waits for three answers one after the other (look up, create, bind), not
// for ten.
//
// The package starts goroutines only inside a call and waits for them there.
// A Service may be used concurrently; operations on one instance must come one
// after the other, as its queue has them.
package network

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
)

// parallel bounds the requests that one call has in flight.
const parallel = 8

// undoTimeout bounds the cleaning up after a failure.
const undoTimeout = time.Minute

// Options are the node's settings. Only Log is required.
type Options struct {
	// OVSBridge is [neutron] ovs_bridge, used where the binding names none.
	// Default br-int.
	OVSBridge string
	// FlatInjected is [DEFAULT] flat_injected; it is only noted in the network
	// information.
	FlatInjected bool
	Log          *logrus.Entry
}

// Service carries out network operations for the instances of one host.
type Service struct {
	api  *cloud.Network
	host string
	opts Options
	log  *logrus.Entry
}

// New returns a Service that binds ports to host, as [DEFAULT] host names it.
func New(api *cloud.Network, host string, o Options) *Service {
	if o.OVSBridge == "" {
		o.OVSBridge = "br-int"
	}
	return &Service{api: api, host: host, opts: o, log: o.Log}
}

// VIFRecord is a row of Nova's virtual_interfaces. Their order is that of the
// guest's cards.
type VIFRecord struct {
	// UUID is the port's id.
	UUID string
	// Address is "MAC/port id": the table wants unique addresses, which MACs
	// are not across networks.
	Address      string
	InstanceUUID string
	Tag          string
}

// VIFRecorder keeps the records, at the conductor.
type VIFRecorder interface {
	// CreateVIF adds a record.
	CreateVIF(ctx context.Context, r VIFRecord) error
	// DeleteVIF removes a port's record; there may be none.
	DeleteVIF(ctx context.Context, instanceUUID, portID string) error
	// DeleteVIFs removes all records of an instance; there may be none.
	DeleteVIFs(ctx context.Context, instanceUUID string) error
	// ListVIFs returns an instance's records in the order of their creation.
	ListVIFs(ctx context.Context, instanceUUID string) ([]VIFRecord, error)
}

// undo runs a cleaning step that must happen although the caller gave up.
func undo(ctx context.Context, step func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return step(ctx)
}
