package cloud

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestAttachment checks the requests against Cinder's API reference for
// attachments.
func TestAttachment(t *testing.T) {
	type call struct{ method, path, body string }
	var calls []call
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		calls = append(calls, call{r.Method, r.URL.Path, string(body)})
		if r.Header.Get("Openstack-Api-Version") != "volume 3.44" {
			t.Errorf("version %q", r.Header.Get("Openstack-Api-Version"))
		}
		if strings.HasSuffix(r.URL.Path, "/action") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		says(`{"attachment": {"id": "a", "volume_id": "v", "connection_info": {"driver_volume_type": "nfs"}}}`)(w, r)
	})
	volumes := open(t, s.options()).Volumes()
	user := Identity{Token: "t", ProjectID: "project"}
	ctx := t.Context()
	made, err := volumes.CreateAttachment(ctx, user, AttachmentRequest{VolumeID: "v", InstanceUUID: "i"})
	if err != nil || made.ID != "a" {
		t.Fatalf("%+v, %v", made, err)
	}
	updated, err := volumes.UpdateAttachment(ctx, user, "a", map[string]any{"host": "h"})
	if err != nil || !strings.Contains(string(updated.ConnectionInfo), "nfs") {
		t.Fatalf("%+v, %v", updated, err)
	}
	if err := volumes.CompleteAttachment(ctx, user, "a"); err != nil {
		t.Error(err)
	}
	if err := volumes.DeleteAttachment(ctx, Identity{}, "a"); err != nil {
		t.Error(err)
	}
	want := []call{
		{"POST", "/v3/project/attachments", `{"attachment":{"instance_uuid":"i","volume_uuid":"v"}}`},
		{"PUT", "/v3/project/attachments/a", `{"attachment":{"connector":{"host":"h"}}}`},
		{"POST", "/v3/project/attachments/a/action", `{"os-complete":{}}`},
		{"DELETE", "/v3/own-project/attachments/a", ""},
	}
	for i := range want {
		if i >= len(calls) || calls[i] != want[i] {
			t.Errorf("calls %q, want %q", calls, want)
			break
		}
	}
}
