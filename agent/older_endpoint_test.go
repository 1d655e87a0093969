package agent

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc"
)

func TestOlderEndpointRenamesArguments(t *testing.T) {
	type args = map[string]json.RawMessage
	for _, tc := range []struct {
		name, method string
		in, want     args
	}{
		{"renamed", "prep_resize", args{"instance_type": []byte(`1`), "node": []byte(`"n"`)}, args{"flavor": []byte(`1`), "node": []byte(`"n"`)}},
		{"named as today", "resize_instance", args{"instance_type": []byte(`1`), "flavor": []byte(`2`)}, args{"flavor": []byte(`2`)}},
		{"dropped", "check_instance_shared_storage", args{"instance": []byte(`{}`), "data": []byte(`{}`)}, args{"data": []byte(`{}`)}},
		{"dropped before a live migration", "pre_live_migration", args{"block_migration": []byte(`true`), "disk": []byte(`{}`)}, args{"disk": []byte(`{}`)}},
		{"as it was", "stop_instance", args{"instance": []byte(`{}`)}, args{"instance": []byte(`{}`)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got args
			methods := map[string]rpc.Handler{tc.method: func(_ context.Context, r *rpc.Request) (any, error) {
				got = r.Args
				return "answer", nil
			}}
			older := olderEndpoint(methods)
			in := &rpc.Request{Method: tc.method, Args: tc.in}
			answer, err := older.Methods[tc.method](context.Background(), in)
			if err != nil || answer != "answer" {
				t.Fatalf("got %v, %v", answer, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if _, err := methods[tc.method](context.Background(), in); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.in, got); diff != "" {
				t.Errorf("the endpoint of today is touched: %s", diff)
			}
		})
	}
}

func TestOlderArgumentsAreOfMethodsOfTheInterface(t *testing.T) {
	for method := range olderArguments {
		if !slices.Contains(computeMethods, method) {
			t.Errorf("%s is no method of the compute RPC API", method)
		}
	}
}
