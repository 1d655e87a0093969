package controller

import (
	"context"
	"maps"
	"net/http"

	"bolide/rpc"
)

// disturbing puts Options.Disturb before an HTTP service.
func (c *Controller) disturbing(service string, h http.Handler) http.Handler {
	if c.o.Disturb == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.o.Disturb(r.Context(), service, r.Method+" "+r.URL.Path); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// disturbed puts it before the conductor.
func (c *Controller) disturbed(e rpc.Endpoint) rpc.Endpoint {
	if c.o.Disturb == nil {
		return e
	}
	e.Methods = maps.Clone(e.Methods)
	for name, handle := range e.Methods {
		e.Methods[name] = func(ctx context.Context, r *rpc.Request) (any, error) {
			if err := c.o.Disturb(ctx, "conductor", requestName(r)); err != nil {
				return nil, err
			}
			return handle(ctx, r)
		}
	}
	return e
}

// requestName is the object and its method, as in "Instance.save".
func requestName(r *rpc.Request) string {
	var class, method string
	if r.Arg("objmethod", &method) != nil {
		return r.Method
	}
	if r.Arg("objname", &class) != nil {
		var object struct {
			Name string `json:"nova_object.name"`
		}
		if r.Arg("objinst", &object) != nil {
			return r.Method
		}
		class = object.Name
	}
	return class + "." + method
}
