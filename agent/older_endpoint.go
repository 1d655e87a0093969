package agent

import (
	"context"
	"encoding/json"
	"maps"

	"bolide/rpc"
)

// olderVersion is the last version of the compute RPC API before the current major one. Callers are pinned to it while
// a cloud that still has nodes of before Xena is upgraded.
const olderVersion = "5.13"

// olderArguments are the arguments that the methods had in version 5 under another name than now, or that they no longer
// have (""). What has become mandatory since is optional to our methods.
var olderArguments = map[string]map[string]string{
	"prep_resize":                          {"instance_type": "flavor"},
	"resize_instance":                      {"instance_type": "flavor"},
	"pre_live_migration":                   {"block_migration": ""},
	"check_instance_shared_storage":        {"instance": ""},
	"prep_snapshot_based_resize_at_dest":   {"request_spec": ""},
	"finish_snapshot_based_resize_at_dest": {"request_spec": ""},
}

// olderEndpoint serves the methods to callers of the version before.
func olderEndpoint(methods map[string]rpc.Handler) rpc.Endpoint {
	older := maps.Clone(methods)
	for method, names := range olderArguments {
		if handler, ok := methods[method]; ok {
			older[method] = renaming(handler, names)
		}
	}
	return rpc.Endpoint{Version: olderVersion, Methods: older}
}

// renaming gives a handler its arguments under the names of today. An argument that the caller already calls so stays.
func renaming(handler rpc.Handler, names map[string]string) rpc.Handler {
	return func(ctx context.Context, r *rpc.Request) (any, error) {
		args := make(map[string]json.RawMessage, len(r.Args))
		for name, value := range r.Args {
			now, renamed := names[name]
			switch {
			case !renamed:
				args[name] = value
			case now != "" && !r.Has(now):
				args[now] = value
			}
		}
		today := *r
		today.Args = args
		return handler(ctx, &today)
	}
}
