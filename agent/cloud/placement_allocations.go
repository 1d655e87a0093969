package cloud

import (
	"context"
	"net/http"
	"net/url"
)

// Resources is an amount by resource class.
type Resources map[string]int

// Allocation is what one consumer, such as an instance or a migration, takes
// from each provider.
type Allocation struct {
	// Allocations by provider.
	Allocations map[string]ProviderAllocation `json:"allocations"`
	// ConsumerGeneration must be the one read; nil for a consumer that has no
	// allocation yet.
	ConsumerGeneration *int   `json:"consumer_generation"`
	ProjectID          string `json:"project_id"`
	UserID             string `json:"user_id"`
}

// ProviderAllocation is a consumer's share of one provider.
type ProviderAllocation struct {
	Resources Resources `json:"resources"`
	// Generation of the provider; read only.
	Generation int `json:"generation,omitempty"`
}

// withoutGenerations is the form in which an allocation may be sent: what it
// says of providers is for reading only.
func (a Allocation) withoutGenerations() Allocation {
	shares := make(map[string]ProviderAllocation, len(a.Allocations))
	for provider, share := range a.Allocations {
		shares[provider] = ProviderAllocation{Resources: share.Resources}
	}
	a.Allocations = shares
	return a
}

// ProviderConsumers is who takes what of a provider, as of Generation.
type ProviderConsumers struct {
	Generation  int                           `json:"resource_provider_generation"`
	Allocations map[string]ProviderAllocation `json:"allocations"`
}

// Consumers reads who takes what of a provider, by consumer.
func (c *Placement) Consumers(ctx context.Context, id Identity, providerUUID string) (*ProviderConsumers, error) {
	out := &ProviderConsumers{}
	if err := c.call(ctx, id, versionAllocations, http.MethodGet, providerPath(providerUUID)+"/allocations", nil, nil, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Allocation reads what a consumer takes; an unknown consumer takes nothing.
func (c *Placement) Allocation(ctx context.Context, id Identity, consumer string) (*Allocation, error) {
	out := &Allocation{}
	if err := c.call(ctx, id, versionAllocations, http.MethodGet, consumerPath(consumer), nil, nil, out); err != nil {
		return nil, err
	}
	return out, nil
}

// SetAllocation replaces what a consumer takes. A conflict is either a
// concurrent update or a provider that has not enough left.
func (c *Placement) SetAllocation(ctx context.Context, id Identity, consumer string, a Allocation) error {
	return c.call(ctx, id, versionAllocations, http.MethodPut, consumerPath(consumer), nil, a.withoutGenerations(), nil)
}

// SetAllocations replaces what several consumers take, all or none, as a move
// from a migration to an instance needs.
func (c *Placement) SetAllocations(ctx context.Context, id Identity, all map[string]Allocation) error {
	in := make(map[string]Allocation, len(all))
	for consumer, a := range all {
		in[consumer] = a.withoutGenerations()
	}
	return c.call(ctx, id, versionAllocations, http.MethodPost, "/allocations", nil, in, nil)
}

// DeleteAllocation gives back all that a consumer takes, whatever its
// generation; it may take nothing.
func (c *Placement) DeleteAllocation(ctx context.Context, id Identity, consumer string) error {
	err := c.call(ctx, id, versionAllocations, http.MethodDelete, consumerPath(consumer), nil, nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Reshape moves inventories between providers and the allocations along with
// them, all or nothing.
func (c *Placement) Reshape(ctx context.Context, id Identity, inventories map[string]Inventories, allocations map[string]Allocation) error {
	consumers := make(map[string]Allocation, len(allocations))
	for consumer, a := range allocations {
		consumers[consumer] = a.withoutGenerations()
	}
	in := map[string]any{"inventories": inventories, "allocations": consumers}
	return c.call(ctx, id, versionReshape, http.MethodPost, "/reshaper", nil, in, nil)
}

func consumerPath(consumer string) string { return "/allocations/" + url.PathEscape(consumer) }
