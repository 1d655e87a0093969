package cloud

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// Endpoint says where a service is: either fixed, by Override or Servers, or by
// what to look for in Keystone's catalog.
type Endpoint struct {
	// ServiceType in the catalog, such as "image"; aliases of a known type are
	// found too. Default is the service's own type.
	ServiceType string
	// ServiceName narrows the search; optional.
	ServiceName string
	// Region is region_name; optional.
	Region string
	// Interfaces is valid_interfaces, best first. Default internal, public.
	Interfaces []string
	// Override is endpoint_override, used instead of the catalog.
	Override string
	// Servers is [glance] api_servers: equal servers, used in turn, the next
	// one when one fails. Used instead of the catalog.
	Servers []string
}

// versionSuffix is the API version at the end of an endpoint, which some
// deployments put into the catalog and others do not; for Cinder the project of
// whoever asked Keystone may follow.
var versionSuffix = regexp.MustCompile(`/v\d+(\.\d+)?(/(AUTH_)?[0-9a-f-]{32,36})?/?$`)

// locator finds the base address of a service, without version and without a
// slash at the end. Safe for concurrent use.
type locator struct {
	Endpoint
	turn atomic.Uint64
}

func newLocator(e Endpoint, serviceType string) *locator {
	if e.ServiceType == "" {
		e.ServiceType = serviceType
	}
	if len(e.Interfaces) == 0 {
		e.Interfaces = []string{"internal", "public"}
	}
	e.Servers = slices.Clone(e.Servers)
	for i, server := range e.Servers {
		if !strings.Contains(server, "://") {
			e.Servers[i] = "http://" + server
		}
	}
	// Nodes share the list; starting each elsewhere spreads their load.
	rand.Shuffle(len(e.Servers), func(i, j int) { e.Servers[i], e.Servers[j] = e.Servers[j], e.Servers[i] })
	return &locator{Endpoint: e}
}

func (l *locator) fixed() bool { return l.Override != "" || len(l.Servers) > 0 }

// next is the address for one attempt. g may be nil when the endpoint is fixed.
func (l *locator) next(g *grant) (string, error) {
	switch {
	case l.Override != "":
		return trimVersion(l.Override), nil
	case len(l.Servers) > 0:
		n := l.turn.Add(1)
		return trimVersion(l.Servers[n%uint64(len(l.Servers))]), nil
	}
	for _, face := range l.Interfaces {
		for _, entry := range g.catalog {
			if !l.offers(entry) {
				continue
			}
			for _, e := range entry.Endpoints {
				if e.Interface == strings.TrimSuffix(face, "URL") && (l.Region == "" || e.Region == l.Region || e.RegionID == l.Region) {
					return trimVersion(e.URL), nil
				}
			}
		}
	}
	return "", fmt.Errorf("no endpoint in the catalog for service type %s, region %q, interfaces %v",
		l.ServiceType, l.Region, l.Interfaces)
}

func (l *locator) offers(entry tokens.CatalogEntry) bool {
	opts := gophercloud.EndpointOpts{Type: l.ServiceType}
	opts.ApplyDefaults(l.ServiceType)
	return slices.Contains(opts.Types(), entry.Type) && (l.ServiceName == "" || l.ServiceName == entry.Name)
}

func trimVersion(endpoint string) string {
	return strings.TrimRight(versionSuffix.ReplaceAllString(endpoint, ""), "/")
}
