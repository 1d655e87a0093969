// Package records reads what the control plane holds about a compute node, and
// tells where the records of two nodes differ.
package records

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"bolide/test/openstack/api"
)

// Records are values by path, as in
// "placement/inventories/VCPU/allocation_ratio". A text that holds JSON is taken
// apart as well, so that the order of its keys does not matter.
type Records map[string]string

// Read reads all there is about the one node of the cloud. It fails while the
// node has not told everything yet.
func Read(ctx context.Context, c *api.Client) (Records, error) {
	r := Records{}
	// the hypervisor last: Nova asks the node for a part of it, which may not consume before it has told the rest
	for _, read := range []func(context.Context, *api.Client) error{r.service, r.row, r.provider, r.hypervisor} {
		if err := read(ctx, c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r Records) service(ctx context.Context, c *api.Client) error {
	var found struct{ Services []map[string]any }
	if err := c.Get(ctx, api.Compute+"/os-services?binary=nova-compute", &found); err != nil {
		return err
	}
	if len(found.Services) != 1 {
		return fmt.Errorf("%d compute services, want 1", len(found.Services))
	}
	r.add("service", found.Services[0])
	return nil
}

func (r Records) hypervisor(ctx context.Context, c *api.Client) error {
	var found struct{ Hypervisors []map[string]any }
	if err := c.Get(ctx, api.Compute+"/os-hypervisors/detail", &found); err != nil {
		return err
	}
	if len(found.Hypervisors) != 1 {
		return fmt.Errorf("%d hypervisors, want 1", len(found.Hypervisors))
	}
	r.add("hypervisor", found.Hypervisors[0])
	return nil
}

// row reads the ComputeNode from Nova's database: no API shows all of it.
func (r Records) row(ctx context.Context, _ *api.Client) error {
	out, err := exec.CommandContext(ctx, "mariadb", "--user=root", "--socket=/run/mysqld/mysqld.sock", "--xml", "--execute",
		"select c.*, s.version as service_version, s.topic as service_topic from nova.compute_nodes c"+
			" join nova.services s on s.host = c.host and s.`binary` = 'nova-compute' and s.deleted = 0 where c.deleted = 0").Output()
	if err != nil {
		return fmt.Errorf("read compute_nodes: %w", err)
	}
	return r.addRow("compute_nodes", out)
}

// addRow adds the one row of an answer of the database.
func (r Records) addRow(path string, answer []byte) error {
	var set struct {
		Rows []struct {
			Fields []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:",chardata"`
			} `xml:"field"`
		} `xml:"row"`
	}
	if err := xml.Unmarshal(answer, &set); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if len(set.Rows) != 1 {
		return fmt.Errorf("%d rows of %s, want 1", len(set.Rows), path)
	}
	for _, f := range set.Rows[0].Fields {
		r.add(path+"/"+f.Name, f.Value)
	}
	return nil
}

func (r Records) provider(ctx context.Context, c *api.Client) error {
	var found struct {
		Providers []struct{ UUID, Name string } `json:"resource_providers"`
	}
	if err := c.Get(ctx, api.Placement+"/resource_providers", &found); err != nil {
		return err
	}
	if len(found.Providers) != 1 {
		return fmt.Errorf("%d resource providers, want 1", len(found.Providers))
	}
	r.add("placement/name", found.Providers[0].Name)
	for _, part := range []string{"inventories", "traits", "aggregates"} {
		var held map[string]any
		if err := c.Get(ctx, api.Placement+"/resource_providers/"+found.Providers[0].UUID+"/"+part, &held); err != nil {
			return err
		}
		if part == "traits" && len(held[part].([]any)) == 0 {
			return fmt.Errorf("%s has no traits yet", found.Providers[0].Name) // they are told last
		}
		r.add("placement/"+part, held[part])
	}
	return nil
}

// add takes v apart. Lists of texts are sets.
func (r Records) add(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			r.add(path+"/"+k, e)
		}
	case []any:
		v = slices.Clone(v)
		slices.SortStableFunc(v, func(a, b any) int {
			x, isText := a.(string)
			y, both := b.(string)
			if !isText || !both {
				return 0
			}
			return cmp.Compare(x, y)
		})
		r[path+"/length"] = strconv.Itoa(len(v))
		for i, e := range v {
			r.add(path+"/"+strconv.Itoa(i), e)
		}
	case string:
		var inner any
		if strings.ContainsAny(v[:min(1, len(v))], "[{") && json.Unmarshal([]byte(v), &inner) == nil {
			r.add(path, inner)
			return
		}
		r[path] = v
	default:
		r[path] = fmt.Sprint(v)
	}
}

// Difference is one value that two nodes tell differently.
type Difference struct {
	Path        string
	First, Then string // "" = not there
	// Reason says why it is meant to be so; "" = it is not.
	Reason string
}

// Compare returns what differs, by path.
func Compare(first, then Records) []Difference {
	paths := maps.Clone(first)
	maps.Copy(paths, then)
	var all []Difference
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		a, inFirst := first[path]
		b, inThen := then[path]
		if a != b || inFirst != inThen {
			all = append(all, Difference{path, a, b, reason(path, inFirst, b)})
		}
	}
	return all
}

// reason is why a difference is expected. docs/compatibility.md has the same.
func reason(path string, inFirst bool, then string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case name == "id", name == "uuid":
		return "each node registers anew"
	case name == "created_at", name == "updated_at", name == "last_seen_up", name == "uptime":
		return "time goes by"
	case path == "hypervisor/disk_available_least", path == "compute_nodes/disk_available_least",
		path == "hypervisor/free_disk_gb", path == "compute_nodes/free_disk_gb":
		return "the disk's free space changes"
	case strings.HasPrefix(path, "compute_nodes/stats/") && !inFirst && then == "0":
		return "counts of nothing are told too"
	}
	return ""
}
