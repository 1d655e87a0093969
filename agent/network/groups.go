package network

import (
	"context"
	"fmt"

	"bolide/agent/cloud"
)

// SecurityGroupNames reads the names of the groups that filter the instance's
// ports, each once, for the metadata that the guest is given.
func (s *Service) SecurityGroupNames(ctx context.Context, id cloud.Identity, instanceUUID, projectID string) ([]string, error) {
	ports, err := s.instancePorts(ctx, id, instanceUUID, projectID)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range ports {
		ids = append(ids, p.SecurityGroups...)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	groups, err := s.api.ListSecurityGroups(ctx, id.Node(), cloud.Filter{"id": unique(ids)})
	if err != nil {
		return nil, nodeFailed(fmt.Errorf("read security groups: %w", err))
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return unique(names), nil
}
