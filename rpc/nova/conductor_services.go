package nova

import (
	"context"
	"encoding/json"
	"fmt"
)

// MinimumServiceVersion is the lowest version among the services of a binary; 0 while there is none.
func (c *Conductor) MinimumServiceVersion(ctx context.Context, binary string) (int, error) {
	raw, err := c.Class(ctx, "Service", "get_minimum_version", []any{binary}, nil)
	if err != nil {
		return 0, err
	}
	var v int
	if err := json.Unmarshal(raw, &v); err != nil {
		return 0, fmt.Errorf("minimum version of %s: %w", binary, err)
	}
	return v, nil
}

// ServiceByHostAndBinary finds a service record; nil if there is none.
func (c *Conductor) ServiceByHostAndBinary(ctx context.Context, host, binary string) (*Service, error) {
	return get[Service](ctx, c, "Service", "get_by_host_and_binary", []any{host, binary}, nil)
}

// ServiceByComputeHost finds the compute service of a host; ComputeHostNotFound if there is none.
func (c *Conductor) ServiceByComputeHost(ctx context.Context, host string) (*Service, error) {
	return get[Service](ctx, c, "Service", "get_by_compute_host", []any{host}, nil)
}

// CreateService adds the record. ServiceTooOld, ServiceTopicExists and
// ServiceBinaryExists are the refusals to expect.
func (c *Conductor) CreateService(ctx context.Context, s *Service) error {
	return c.act(ctx, s.Object, "create")
}

// SaveService writes the changed fields; the heartbeat is Beat and then this.
func (c *Conductor) SaveService(ctx context.Context, s *Service) error {
	return c.act(ctx, s.Object, "save")
}
