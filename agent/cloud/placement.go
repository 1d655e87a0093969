package cloud

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Placement is the Placement client. It always acts in the node's own name; an
// Identity only carries the request id. Each call names the microversion that
// Nova uses for it.
type Placement struct{ svc *service }

// Provider is a node or a part of one that has inventory.
type Provider struct {
	UUID       string `json:"uuid"`
	Name       string `json:"name"`
	Generation int    `json:"generation"`
	ParentUUID string `json:"parent_provider_uuid"`
	RootUUID   string `json:"root_provider_uuid"`
}

// Inventory is what a provider has of one resource class.
type Inventory struct {
	Total           int     `json:"total"`
	Reserved        int     `json:"reserved"`
	MinUnit         int     `json:"min_unit"`
	MaxUnit         int     `json:"max_unit"`
	StepSize        int     `json:"step_size"`
	AllocationRatio float64 `json:"allocation_ratio"`
}

// Inventories is a provider's whole inventory by resource class, as of
// Generation.
type Inventories struct {
	Generation  int                  `json:"resource_provider_generation"`
	Inventories map[string]Inventory `json:"inventories"`
}

// Traits are a provider's qualities, as of Generation.
type Traits struct {
	Generation int      `json:"resource_provider_generation"`
	Traits     []string `json:"traits"`
}

// Aggregates are the groups a provider is in, as of Generation.
type Aggregates struct {
	Generation int      `json:"resource_provider_generation"`
	Aggregates []string `json:"aggregates"`
}

const (
	versionTraits        = "1.6"
	versionNested        = "1.14"
	versionProviderQuery = "1.18"
	versionAggregates    = "1.19"
	versionProviderBody  = "1.20"
	versionInventories   = "1.26"
	versionAllocations   = "1.28"
	versionReshape       = "1.30"
)

// concurrentUpdate is Placement's code for a generation that is no longer the
// provider's or consumer's.
const concurrentUpdate = "placement.concurrent_update"

// IsConcurrentUpdate reports that somebody else changed the provider or
// consumer since it was read: read again and repeat. Placement before 1.23 gives
// no code, so that any conflict without one counts.
func IsConcurrentUpdate(err error) bool {
	return IsConflict(err) && HasCode(err, concurrentUpdate, "")
}

// ProvidersInTree reads all providers of the tree that this provider is in;
// none if it does not exist.
func (c *Placement) ProvidersInTree(ctx context.Context, id Identity, providerUUID string) ([]Provider, error) {
	return c.Providers(ctx, id, url.Values{"in_tree": {providerUUID}})
}

// Providers reads the providers that match all of the filters: name, uuid,
// in_tree, member_of ("in:uuid,uuid"), required (traits), resources.
func (c *Placement) Providers(ctx context.Context, id Identity, filters url.Values) ([]Provider, error) {
	var out struct {
		Providers []Provider `json:"resource_providers"`
	}
	version := versionNested
	if filters.Has("required") {
		version = versionProviderQuery
	}
	err := c.call(ctx, id, version, http.MethodGet, "/resource_providers", filters, nil, &out)
	return out.Providers, err
}

// SharingProviders reads the providers that share resources with the members of
// these aggregates.
func (c *Placement) SharingProviders(ctx context.Context, id Identity, aggregates []string) ([]Provider, error) {
	if len(aggregates) == 0 {
		return nil, nil
	}
	return c.Providers(ctx, id, url.Values{
		"member_of": {"in:" + strings.Join(aggregates, ",")},
		"required":  {"MISC_SHARES_VIA_AGGREGATE"},
	})
}

// Provider reads one provider.
func (c *Placement) Provider(ctx context.Context, id Identity, providerUUID string) (*Provider, error) {
	p := &Provider{}
	if err := c.call(ctx, id, versionNested, http.MethodGet, providerPath(providerUUID), nil, nil, p); err != nil {
		return nil, err
	}
	return p, nil
}

// CreateProvider makes a provider under a parent (empty: a root). A conflict
// means that the uuid or the name is taken.
func (c *Placement) CreateProvider(ctx context.Context, id Identity, p Provider) (*Provider, error) {
	in := map[string]any{"uuid": p.UUID, "name": p.Name}
	if p.ParentUUID != "" {
		in["parent_provider_uuid"] = p.ParentUUID
	}
	out := &Provider{}
	if err := c.call(ctx, id, versionProviderBody, http.MethodPost, "/resource_providers", nil, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// RenameProvider changes a provider's name.
func (c *Placement) RenameProvider(ctx context.Context, id Identity, p Provider) (*Provider, error) {
	in := map[string]any{"name": p.Name}
	if p.ParentUUID != "" {
		in["parent_provider_uuid"] = p.ParentUUID
	}
	out := &Provider{}
	if err := c.call(ctx, id, versionNested, http.MethodPut, providerPath(p.UUID), nil, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteProvider removes a provider. A conflict means that it has children or
// is allocated from.
func (c *Placement) DeleteProvider(ctx context.Context, id Identity, providerUUID string) error {
	return c.call(ctx, id, versionNested, http.MethodDelete, providerPath(providerUUID), nil, nil, nil)
}

// Inventories reads what a provider has.
func (c *Placement) Inventories(ctx context.Context, id Identity, providerUUID string) (*Inventories, error) {
	out := &Inventories{}
	if err := c.call(ctx, id, versionInventories, http.MethodGet, providerPath(providerUUID)+"/inventories", nil, nil, out); err != nil {
		return nil, err
	}
	return out, nil
}

// SetInventories replaces what a provider has; an absent class is removed. It
// returns the inventories with the new generation.
func (c *Placement) SetInventories(ctx context.Context, id Identity, providerUUID string, in Inventories) (*Inventories, error) {
	if in.Inventories == nil {
		in.Inventories = map[string]Inventory{}
	}
	out := &Inventories{}
	if err := c.call(ctx, id, versionInventories, http.MethodPut, providerPath(providerUUID)+"/inventories", nil, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Traits reads a provider's traits.
func (c *Placement) Traits(ctx context.Context, id Identity, providerUUID string) (*Traits, error) {
	out := &Traits{}
	if err := c.call(ctx, id, versionTraits, http.MethodGet, providerPath(providerUUID)+"/traits", nil, nil, out); err != nil {
		return nil, err
	}
	return out, nil
}

// SetTraits replaces a provider's traits, which must all exist.
func (c *Placement) SetTraits(ctx context.Context, id Identity, providerUUID string, in Traits) (*Traits, error) {
	if in.Traits == nil {
		in.Traits = []string{}
	}
	out := &Traits{}
	if err := c.call(ctx, id, versionTraits, http.MethodPut, providerPath(providerUUID)+"/traits", nil, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// KnownTraits reads which of these traits exist.
func (c *Placement) KnownTraits(ctx context.Context, id Identity, names []string) ([]string, error) {
	var out Traits
	err := c.call(ctx, id, versionTraits, http.MethodGet, "/traits", url.Values{"name": {"in:" + strings.Join(names, ",")}}, nil, &out)
	return out.Traits, err
}

// CreateTrait makes a custom trait; it may exist already.
func (c *Placement) CreateTrait(ctx context.Context, id Identity, name string) error {
	return c.call(ctx, id, versionTraits, http.MethodPut, "/traits/"+url.PathEscape(name), nil, nil, nil)
}

// CreateResourceClass makes a custom resource class; it may exist already.
func (c *Placement) CreateResourceClass(ctx context.Context, id Identity, name string) error {
	return c.call(ctx, id, "1.7", http.MethodPut, "/resource_classes/"+url.PathEscape(name), nil, nil, nil)
}

// Aggregates reads the groups a provider is in.
func (c *Placement) Aggregates(ctx context.Context, id Identity, providerUUID string) (*Aggregates, error) {
	out := &Aggregates{}
	if err := c.call(ctx, id, versionAggregates, http.MethodGet, providerPath(providerUUID)+"/aggregates", nil, nil, out); err != nil {
		return nil, err
	}
	return out, nil
}

// SetAggregates replaces the groups a provider is in.
func (c *Placement) SetAggregates(ctx context.Context, id Identity, providerUUID string, in Aggregates) (*Aggregates, error) {
	if in.Aggregates == nil {
		in.Aggregates = []string{}
	}
	out := &Aggregates{}
	if err := c.call(ctx, id, versionAggregates, http.MethodPut, providerPath(providerUUID)+"/aggregates", nil, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Placement) call(ctx context.Context, id Identity, version, method, path string, query url.Values, in, out any) error {
	header := map[string]string{"OpenStack-API-Version": "placement " + version}
	err := c.svc.do(ctx, id.Node(), request{
		method: method, path: path, query: query, header: header, in: in, out: out,
		ok: []int{http.StatusOK, http.StatusCreated, http.StatusNoContent},
	})
	return err
}

func providerPath(providerUUID string) string {
	return "/resource_providers/" + url.PathEscape(providerUUID)
}
