package cloud

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Volumes is the Cinder v3 client.
type Volumes struct{ svc *service }

// Volume is Cinder's record of a volume. Size is in GiB.
type Volume struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	Status           string            `json:"status"`
	Size             int               `json:"size"`
	Multiattach      bool              `json:"multiattach"`
	Bootable         string            `json:"bootable"`
	Encrypted        bool              `json:"encrypted"`
	AvailabilityZone string            `json:"availability_zone"`
	VolumeType       string            `json:"volume_type"`
	ImageMetadata    map[string]string `json:"volume_image_metadata"`
	Metadata         map[string]string `json:"metadata"`
	Attachments      []struct {
		AttachmentID string `json:"attachment_id"`
		ServerID     string `json:"server_id"`
		Device       string `json:"device"`
	} `json:"attachments"`
}

// Attachment is a server's claim on a volume.
type Attachment struct {
	ID         string `json:"id"`
	VolumeID   string `json:"volume_id"`
	InstanceID string `json:"instance"`
	Status     string `json:"status"`
	AttachMode string `json:"attach_mode"`
	// ConnectionInfo says how to reach the volume; empty until a connector was
	// given. It holds secrets.
	ConnectionInfo json.RawMessage `json:"connection_info"`
}

// versionAttachments is the microversion of attachments that can be completed.
const versionAttachments = "3.44"

// Get reads one volume.
func (c *Volumes) Get(ctx context.Context, id Identity, volumeID string) (*Volume, error) {
	var out struct{ Volume *Volume }
	err := c.call(ctx, id, http.MethodGet, "/volumes/"+url.PathEscape(volumeID), nil, &out)
	return out.Volume, err
}

// AttachmentRequest claims a volume for an instance.
type AttachmentRequest struct {
	VolumeID, InstanceUUID string
	// Connector describes this host's ways to storage; nil reserves the volume
	// only.
	Connector map[string]any
	// Mode is rw or ro; empty is Cinder's choice.
	Mode string
}

// CreateAttachment reserves a volume, and with a connector exports it.
func (c *Volumes) CreateAttachment(ctx context.Context, id Identity, r AttachmentRequest) (*Attachment, error) {
	in := map[string]any{"volume_uuid": r.VolumeID, "instance_uuid": r.InstanceUUID}
	if r.Connector != nil {
		in["connector"] = r.Connector
	}
	if r.Mode != "" {
		in["mode"] = r.Mode
	}
	return c.attachment(ctx, id, http.MethodPost, "/attachments", in)
}

// Attachment reads one attachment.
func (c *Volumes) Attachment(ctx context.Context, id Identity, attachmentID string) (*Attachment, error) {
	return c.attachment(ctx, id, http.MethodGet, attachmentPath(attachmentID), nil)
}

// UpdateAttachment gives the host's connector and gets the connection.
func (c *Volumes) UpdateAttachment(ctx context.Context, id Identity, attachmentID string, connector map[string]any) (*Attachment, error) {
	return c.attachment(ctx, id, http.MethodPut, attachmentPath(attachmentID), map[string]any{"connector": connector})
}

// CompleteAttachment tells Cinder that the volume is in use.
func (c *Volumes) CompleteAttachment(ctx context.Context, id Identity, attachmentID string) error {
	in := map[string]any{"os-complete": map[string]any{}}
	return c.call(ctx, id, http.MethodPost, attachmentPath(attachmentID)+"/action", in, nil)
}

// DeleteAttachment gives the volume back.
func (c *Volumes) DeleteAttachment(ctx context.Context, id Identity, attachmentID string) error {
	return c.call(ctx, id, http.MethodDelete, attachmentPath(attachmentID), nil, nil)
}

// Delete removes a volume, as delete_on_termination asks.
func (c *Volumes) Delete(ctx context.Context, id Identity, volumeID string) error {
	return c.call(ctx, id, http.MethodDelete, "/volumes/"+url.PathEscape(volumeID), nil, nil)
}

func (c *Volumes) attachment(ctx context.Context, id Identity, method, path string, attributes map[string]any) (*Attachment, error) {
	var in any
	if attributes != nil {
		in = map[string]any{"attachment": attributes}
	}
	var out struct{ Attachment *Attachment }
	err := c.call(ctx, id, method, path, in, &out)
	return out.Attachment, err
}

func (c *Volumes) call(ctx context.Context, id Identity, method, path string, in, out any) error {
	err := c.svc.do(ctx, id, request{
		method: method, inProject: "/v3", path: path, in: in, out: out,
		header: map[string]string{"OpenStack-API-Version": "volume " + versionAttachments},
		ok:     []int{http.StatusOK, http.StatusAccepted, http.StatusNoContent},
	})
	return err
}

func attachmentPath(attachmentID string) string {
	return "/attachments/" + url.PathEscape(attachmentID)
}
