package cloud

import (
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

func TestEndpointFromCatalog(t *testing.T) {
	at := func(face, region, address string) tokens.Endpoint {
		return tokens.Endpoint{Interface: face, Region: region, RegionID: region, URL: address}
	}
	g := &grant{catalog: []tokens.CatalogEntry{
		{Type: "network", Name: "neutron", Endpoints: []tokens.Endpoint{
			at("public", "one", "http://pub:9696"), at("internal", "one", "http://int:9696/networking/v2.0/"),
			at("public", "two", "http://pub2:9696/"),
		}},
		{Type: "volumev3", Name: "cinderv3", Endpoints: []tokens.Endpoint{
			at("public", "one", "http://vol:8776/v3/0123456789abcdef0123456789abcdef"),
		}},
		{Type: "image", Name: "other", Endpoints: []tokens.Endpoint{at("public", "one", "http://wrong:9292")}},
		{Type: "image", Name: "glance", Endpoints: []tokens.Endpoint{at("public", "one", "http://img:9292/v2")}},
	}}
	for _, c := range []struct {
		name string
		e    Endpoint
		kind string
		want string
	}{
		{"internal before public", Endpoint{}, "network", "http://int:9696/networking"},
		{"public where there is nothing else", Endpoint{Region: "two"}, "network", "http://pub2:9696"},
		{"another order", Endpoint{Interfaces: []string{"public", "internal"}}, "network", "http://pub:9696"},
		{"old names of interfaces", Endpoint{Interfaces: []string{"publicURL"}}, "network", "http://pub:9696"},
		{"an alias of the type", Endpoint{}, "block-storage", "http://vol:8776"},
		{"the alias asked for", Endpoint{ServiceType: "volumev3"}, "block-storage", "http://vol:8776"},
		{"a service's name", Endpoint{ServiceName: "glance"}, "image", "http://img:9292"},
		{"no such region", Endpoint{Region: "three"}, "network", ""},
		{"no such type", Endpoint{}, "placement", ""},
		{"override", Endpoint{Override: "https://fixed/placement/"}, "placement", "https://fixed/placement"},
		{"servers", Endpoint{Servers: []string{"glance:9292"}}, "image", "http://glance:9292"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newLocator(c.e, c.kind).next(g)
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.kind) {
				t.Errorf("error does not name the type: %v", err)
			}
		})
	}
}

func TestServersTakeTurns(t *testing.T) {
	l := newLocator(Endpoint{Servers: []string{"http://a", "http://b", "http://c"}}, "image")
	seen := map[string]int{}
	for range 6 {
		address, err := l.next(nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[address]++
	}
	if seen["http://a"] != 2 || seen["http://b"] != 2 || seen["http://c"] != 2 {
		t.Errorf("used %v", seen)
	}
}
