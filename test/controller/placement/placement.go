// Package placement is as much of the Placement API as compute nodes use:
// providers with inventories, traits and aggregates, and the allocations of
// consumers, with the generations that keep concurrent writers apart.
//
// It starts no goroutines; a Service may be used concurrently.
package placement

import (
	"net/http"
	"strconv"
	"strings"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// Service is the placement service.
type Service struct {
	*web.Mux
	store *store.Store
}

// New makes the service.
func New(s *store.Store, a web.Authority) *Service {
	p := &Service{Mux: web.NewMux(a, dialect), store: s}
	const provider = "/resource_providers/{uuid}"
	p.Handle("GET /resource_providers", p.listProviders)
	p.Handle("POST /resource_providers", p.createProvider)
	p.Handle("GET "+provider, p.showProvider)
	p.Handle("PUT "+provider, p.renameProvider)
	p.Handle("DELETE "+provider, p.deleteProvider)
	p.Handle("GET "+provider+"/inventories", p.showInventories)
	p.Handle("PUT "+provider+"/inventories", p.setInventories)
	p.Handle("GET "+provider+"/traits", p.showTraits)
	p.Handle("PUT "+provider+"/traits", p.setTraits)
	p.Handle("GET "+provider+"/aggregates", p.showAggregates)
	p.Handle("PUT "+provider+"/aggregates", p.setAggregates)
	p.Handle("GET "+provider+"/allocations", p.listConsumers)
	p.Handle("GET /traits", p.listTraits)
	p.Handle("PUT /traits/{name}", p.createTrait)
	p.Handle("PUT /resource_classes/{name}", p.createClass)
	p.Handle("GET /allocations/{consumer}", p.showAllocation)
	p.Handle("PUT /allocations/{consumer}", p.setAllocation)
	p.Handle("DELETE /allocations/{consumer}", p.deleteAllocation)
	p.Handle("POST /allocations", p.setAllocations)
	p.Handle("POST /reshaper", p.reshape)
	return p
}

const (
	concurrentUpdate = "placement.concurrent_update"
	undefinedCode    = "placement.undefined_code"
)

// introductions are what errors begin with, by status.
var introductions = map[int]string{
	http.StatusBadRequest: "The server could not comply with the request since it is either malformed or otherwise incorrect.",
	http.StatusNotFound:   "The resource could not be found.",
	http.StatusConflict:   "There was a conflict when trying to complete your request.",
}

// dialect writes errors with a code from microversion 1.23 on.
func dialect(c *web.Call, e *web.Error) any {
	detail := e.Message
	if intro, ok := introductions[e.Status]; ok {
		detail = intro + "\n\n " + detail + "  "
	}
	fault := map[string]any{"status": e.Status, "title": http.StatusText(e.Status), "detail": detail, "request_id": c.RequestID}
	if minor(c) >= 23 {
		fault["code"] = undefinedCode
		if e.Code != "" {
			fault["code"] = e.Code
		}
	}
	return map[string]any{"errors": []any{fault}}
}

// minor is Y of the microversion 1.Y that the caller speaks.
func minor(c *web.Call) int {
	_, version, _ := strings.Cut(c.Request.Header.Get("OpenStack-API-Version"), "placement 1.")
	y, _ := strconv.Atoi(version)
	return y
}

func conflict(format string, args ...any) error {
	return web.Refuse(http.StatusConflict, "", format, args...)
}

func outdated(format string, args ...any) error {
	return web.Refuse(http.StatusConflict, concurrentUpdate, format, args...)
}
