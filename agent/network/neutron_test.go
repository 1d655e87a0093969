package network_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"bolide/agent/cloud"
	"bolide/agent/cloud/cloudtest"
	"bolide/agent/network"
)

type object = map[string]any

// neutron is a small Neutron in memory: networks, subnets, ports with bindings,
// extensions and security groups. Ports created get the address after the last
// one's. It shows everything to the node's user and hides the provider
// attributes from others.
type neutron struct {
	t *testing.T

	mu       sync.Mutex
	lists    map[string][]object           // by collection
	bindings map[string]map[string]object  // by port and host
	made     int                           // ports created
	requests []string                      // method, path and user
	broken   func(method, path string) int // a status to answer instead; 0 for none
	deaf     func(method, path string) bool
	hosts    []string // that have an agent; others cannot be bound to
}

const tenant = "user-project"

func newNeutron(t *testing.T, extensions ...string) *neutron {
	n := &neutron{
		t: t, bindings: map[string]map[string]object{}, hosts: []string{host, "other"},
		lists: map[string][]object{
			"networks": {{
				"id": "net-a", "name": "a", "tenant_id": tenant, "mtu": 1500, "shared": false, "admin_state_up": true,
				"subnets": []string{"sub-a"}, "router:external": false, "port_security_enabled": true,
				"provider:network_type": "vxlan", "provider:physical_network": nil,
			}},
			"subnets": {{"id": "sub-a", "network_id": "net-a", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "enable_dhcp": true}},
			"ports":   {}, "security_groups": {}, "floatingips": {}, "extensions": {},
		},
	}
	for _, alias := range extensions {
		n.add("extensions", object{"alias": alias})
	}
	return n
}

func (n *neutron) add(collection string, o object) object {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.insert(collection, o)
}

// insert adds; the caller holds n.mu.
func (n *neutron) insert(collection string, o object) object {
	n.lists[collection] = append(n.lists[collection], o)
	return o
}

// port adds one that existed before.
func (n *neutron) port(id string, more object) object { return n.add("ports", newPort(id, more)) }

func newPort(id string, more object) object {
	p := object{
		"id": id, "network_id": "net-a", "tenant_id": tenant, "mac_address": "fa:16:3e:00:00:99", "status": "DOWN",
		"admin_state_up": true, "fixed_ips": []object{{"subnet_id": "sub-a", "ip_address": "10.0.0.99"}}, "device_id": "",
		"device_owner": "", "binding:vif_type": "unbound", "binding:vnic_type": "normal", "binding:host_id": "",
		"binding:profile": object{}, "binding:vif_details": object{},
	}
	for name, v := range more {
		p[name] = v
	}
	return p
}

func (n *neutron) find(collection, id string) object {
	i := slices.IndexFunc(n.lists[collection], func(o object) bool { return o["id"] == id })
	if i < 0 {
		return nil
	}
	return n.lists[collection][i]
}

// ids of the ports there are.
func (n *neutron) ports() []string {
	var ids []string
	for _, p := range n.lists["ports"] {
		ids = append(ids, p["id"].(string))
	}
	return ids
}

// asked counts the requests that begin so: "PUT /ports neutron".
func (n *neutron) asked(prefix string) int {
	count := 0
	for _, r := range n.requests {
		if strings.HasPrefix(r, prefix) {
			count++
		}
	}
	return count
}

func (n *neutron) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/network/v2.0")
	user := strings.TrimPrefix(r.Header.Get("X-Auth-Token"), "token-")
	n.requests = append(n.requests, r.Method+" "+path+" "+user)
	if n.broken != nil {
		if status := n.broken(r.Method, path); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	answer := httptest.NewRecorder()
	n.answer(answer, r, strings.Split(strings.Trim(path, "/"), "/"), user)
	if n.deaf != nil && n.deaf(r.Method, path) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
		return
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (n *neutron) answer(w http.ResponseWriter, r *http.Request, path []string, user string) {
	collection := strings.ReplaceAll(path[0], "-", "_")
	one := strings.TrimSuffix(collection, "s")
	switch {
	case collection == "auto_allocated_topology":
		say(w, 200, "auto_allocated_topology", object{"id": "net-a"})
	case len(path) > 2 && path[2] == "bindings":
		n.binding(w, r, path)
	case len(path) == 1 && r.Method == http.MethodGet:
		found := []object{}
		for _, o := range n.lists[collection] {
			if matches(o, r.URL.Query()) {
				found = append(found, shown(o, user))
			}
		}
		say(w, 200, collection, found)
	case len(path) == 1:
		n.create(w, r, user)
	case n.find(collection, path[1]) == nil:
		say(w, 404, "NeutronError", object{"type": "NotFound", "message": path[1]})
	case r.Method == http.MethodGet:
		say(w, 200, one, shown(n.find(collection, path[1]), user))
	case r.Method == http.MethodDelete:
		n.lists[collection] = slices.DeleteFunc(n.lists[collection], func(o object) bool { return o["id"] == path[1] })
		w.WriteHeader(204)
	default:
		n.change(n.find(collection, path[1]), n.body(r, one))
		say(w, 200, one, shown(n.find(collection, path[1]), user))
	}
}

func (n *neutron) create(w http.ResponseWriter, r *http.Request, user string) {
	n.made++
	id := fmt.Sprintf("port-%d", n.made)
	address := fmt.Sprintf("10.0.0.%d", 10+n.made)
	p := n.insert("ports", newPort(id, object{
		"mac_address": fmt.Sprintf("fa:16:3e:00:00:%02d", n.made), "fixed_ips": []object{{"subnet_id": "sub-a", "ip_address": address}},
	}))
	if qos := n.lists["networks"][0]["qos"]; qos != nil {
		p["resource_request"] = qos
	}
	n.change(p, n.body(r, "port"))
	say(w, 201, "port", shown(p, user))
}

func (n *neutron) change(p, body object) {
	for name, v := range body {
		p[name] = v
	}
	host, asked := body["binding:host_id"]
	switch {
	case !asked:
	case host == nil || host == "":
		p["binding:vif_type"], p["binding:host_id"] = "unbound", ""
	case slices.Contains(n.hosts, host.(string)):
		p["binding:vif_type"], p["binding:vif_details"] = "bridge", object{"port_filter": true}
	default:
		p["binding:vif_type"] = "binding_failed"
	}
}

func (n *neutron) binding(w http.ResponseWriter, r *http.Request, path []string) {
	bindings := n.bindings[path[1]]
	if bindings == nil {
		bindings = map[string]object{}
		n.bindings[path[1]] = bindings
	}
	if r.Method == http.MethodPost {
		b := n.body(r, "binding")
		if !slices.Contains(n.hosts, b["host"].(string)) {
			say(w, 500, "NeutronError", object{"type": "PortBindingError", "message": "no agent"})
			return
		}
		b["status"], b["vif_type"] = "INACTIVE", "bridge"
		bindings[b["host"].(string)] = b
		say(w, 201, "binding", b)
		return
	}
	b := bindings[path[3]]
	switch {
	case b == nil:
		say(w, 404, "NeutronError", object{"type": "PortBindingNotFound", "message": path[3]})
	case r.Method == http.MethodGet:
		say(w, 200, "binding", b)
	case r.Method == http.MethodDelete:
		delete(bindings, path[3])
		w.WriteHeader(204)
	case b["status"] == "ACTIVE":
		say(w, 409, "NeutronError", object{"type": "PortBindingAlreadyActive", "message": path[3]})
	default:
		b["status"] = "ACTIVE"
		say(w, 200, "binding", b)
	}
}

func (n *neutron) body(r *http.Request, name string) object {
	var in map[string]object
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		n.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	return in[name]
}

func say(w http.ResponseWriter, status int, name string, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object{name: v}) // tests compare what arrives
}

// matches compares texts: what Neutron's filters do, near enough.
func matches(o object, query map[string][]string) bool {
	for name, values := range query {
		if name == "fields" {
			continue
		}
		has := fmt.Sprint(o[name])
		if !slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, has) }) {
			return false
		}
	}
	return true
}

func shown(o object, user string) object {
	out := object{}
	for name, v := range o {
		if user == "neutron" || user == "admin" || !strings.HasPrefix(name, "provider:") && name != "segments" {
			out[name] = v
		}
	}
	return out
}

// open returns a service on this Neutron, and a user.
func (n *neutron) open() (*network.Service, cloud.Identity) {
	n.t.Helper()
	world := cloudtest.Serve(n.t, n)
	return network.New(world.Open().Network(), host, network.Options{Log: quiet()}), world.User("user")
}

// request is for one instance with these cards.
func request(records network.VIFRecorder, requested ...network.Requested) network.AllocateRequest {
	return network.AllocateRequest{
		InstanceUUID: instance, ProjectID: tenant, Hostname: "guest", AvailabilityZone: "zone",
		Requested: requested, Records: records,
	}
}
