package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxQuery bounds a query's length in bytes: servers refuse a request line of
// more than 8 KiB.
const maxQuery = 6000

// list reads a whole Neutron collection: page by page where the server cuts it
// up, and in several requests where the filter is too long for one.
func list[T any](ctx context.Context, s *service, id Identity, collection string, f Filter) ([]T, error) {
	var all []T
	for _, query := range split(f) {
		for query != nil {
			items, next, err := page[T](ctx, s, id, collection, query)
			if err != nil {
				return nil, err
			}
			all = append(all, items...)
			query = next
		}
	}
	return all, nil
}

// page reads one page; next is nil after the last one.
func page[T any](ctx context.Context, s *service, id Identity, collection string, query url.Values) (items []T, next url.Values, err error) {
	var body map[string]json.RawMessage
	err = s.do(ctx, id, request{
		method: http.MethodGet, path: "/v2.0/" + collection, query: query, out: &body, ok: []int{http.StatusOK},
	})
	if err != nil {
		return nil, nil, err
	}
	name := strings.ReplaceAll(collection, "-", "_")
	if err := json.Unmarshal(body[name], &items); err != nil {
		return nil, nil, fmt.Errorf("%s: list of %s: %w", s.name, collection, err)
	}
	var links []struct{ Rel, Href string }
	if raw, ok := body[name+"_links"]; ok {
		if err := json.Unmarshal(raw, &links); err != nil {
			return nil, nil, fmt.Errorf("%s: links of %s: %w", s.name, collection, err)
		}
	}
	for _, link := range links {
		if link.Rel != "next" || len(items) == 0 {
			continue
		}
		u, err := url.Parse(link.Href)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: next page of %s: %w", s.name, collection, err)
		}
		return items, u.Query(), nil
	}
	return items, nil, nil
}

// split cuts a filter into queries of a bearable length, along its longest
// list of alternatives.
func split(f Filter) []url.Values {
	if f == nil {
		f = Filter{}
	}
	if len(f.Encode()) <= maxQuery {
		return []url.Values{f}
	}
	longest := ""
	for name, values := range f {
		if len(values) > len(f[longest]) || len(values) == len(f[longest]) && name < longest {
			longest = name
		}
	}
	values := f[longest]
	if len(values) < 2 {
		return []url.Values{f}
	}
	var queries []url.Values
	for _, half := range [][]string{values[:len(values)/2], values[len(values)/2:]} {
		part := Filter{}
		for name, values := range f {
			part[name] = values
		}
		part[longest] = half
		queries = append(queries, split(part)...)
	}
	return queries
}
