package compute

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/image"
	"bolide/test/controller/web"
)

// serverRequest is the body of a request for a server.
type serverRequest struct {
	Name        string            `json:"name"`
	Image       string            `json:"imageRef"`
	Flavor      string            `json:"flavorRef"`
	Networks    any               `json:"networks"` // "auto", "none", or a list
	Metadata    map[string]string `json:"metadata"`
	UserData    *string           `json:"user_data"`
	ConfigDrive any               `json:"config_drive"`
	AdminPass   string            `json:"adminPass"`
	Zone        string            `json:"availability_zone"`
	Description any               `json:"description"`
}

func (s *Service) createServer(c *web.Call) error {
	var in struct{ Server serverRequest }
	if err := c.Read(&in); err != nil {
		return err
	}
	r := in.Server
	img, err := s.bootableImage(r.Image)
	if err != nil {
		return err
	}
	if r.AdminPass == "" {
		r.AdminPass = randomText(6)
	}
	b := boot{Service: s, rc: s.context(c), who: c.Who, request: r, image: img}
	inst, err := b.run()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, map[string]any{"server": map[string]any{
		"id": inst.UUID(), "adminPass": r.AdminPass, "links": []any{}, "OS-DCF:diskConfig": "MANUAL",
		"security_groups": []any{map[string]string{"name": "default"}},
	}})
}

func (s *Service) bootableImage(id string) (image.Record, error) {
	img, err := s.o.Images.Get(id)
	if err != nil {
		return nil, web.Refuse(http.StatusBadRequest, "", "Can not find requested image")
	}
	if img.Status() != "active" {
		return nil, web.Refuse(http.StatusBadRequest, "", "Image %s is not active.", id)
	}
	return img, nil
}

// boot is one request for a server on its way to a node.
type boot struct {
	*Service
	rc      rpc.Context
	who     web.Who
	request serverRequest
	image   image.Record

	flavor   *nova.Object
	networks *nova.Object
	nodes    []computeNode
	bdms     []*nova.Object
	spec     *nova.Object
}

// run makes the records, chooses a host and casts to it. A server for which
// there is no host exists all the same, in error.
func (b *boot) run() (*nova.Instance, error) {
	var inst *nova.Instance
	err := b.o.DB.Update(b.rc, func(tx *cell.Tx) (err error) {
		inst, err = b.record(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	chosen, err := b.schedule(b.nodes, inst, b.flavor, nil)
	if err != nil {
		return inst, b.o.DB.Update(b.rc, func(tx *cell.Tx) error { return b.fail(tx, inst.UUID(), err) })
	}
	return inst, b.cast(b.rc, chosen.host, "build_and_run_instance", map[string]any{
		"instance": inst, "image": imageDict(b.image), "request_spec": b.spec, "filter_properties": filterProperties(chosen),
		"admin_password": b.request.AdminPass, "injected_files": []any{}, "requested_networks": b.networks,
		"security_groups": []string{"default"}, "block_device_mapping": b.o.DB.Profile().NewList("BlockDeviceMappingList", b.bdms...),
		"node": chosen.name, "limits": map[string]any{}, "host_list": []any{}, "accel_uuids": []any{},
	})
}

func (b *boot) record(tx *cell.Tx) (*nova.Instance, error) {
	var err error
	if b.flavor, err = flavor(tx, b.request.Flavor); err != nil {
		return nil, web.Refuse(http.StatusBadRequest, "", "Flavor %s could not be found.", b.request.Flavor)
	}
	if b.networks, err = b.networkRequests(tx.Profile()); err != nil {
		return nil, err
	}
	if b.nodes, err = nodes(tx); err != nil {
		return nil, err
	}
	o := b.instance(tx)
	if err := tx.CreateInstance(o); err != nil {
		return nil, err
	}
	inst := nova.As[nova.Instance](o)
	if err := b.disks(tx, inst.UUID()); err != nil {
		return nil, err
	}
	if _, err := tx.StartAction(inst.UUID(), "create"); err != nil {
		return nil, err
	}
	b.spec = requestSpec(tx.Profile(), inst, b.flavor, b.image, b.networks.Clone())
	return inst, nil
}

// instance is the record of the instance to be.
func (b *boot) instance(tx *cell.Tx) *nova.Object {
	f := b.flavor
	system := imageMetadata(b.image, f)
	system["owner_user_name"], system["owner_project_name"] = b.who.UserName, b.who.ProjectName
	drive := ""
	if v, _ := b.request.ConfigDrive.(bool); v || b.request.ConfigDrive == "true" {
		drive = "True"
	}
	o := tx.Profile().New("Instance")
	for name, value := range map[string]any{
		"display_name": b.request.Name, "hostname": hostname(b.request.Name), "display_description": b.request.Description,
		"user_id": b.who.UserID, "project_id": b.who.ProjectID, "reservation_id": "r-" + randomText(4),
		"image_ref": b.image.ID(), "vm_state": string(nova.VMBuilding), "task_state": string(nova.TaskScheduling),
		"memory_mb": f.Int("memory_mb"), "vcpus": f.Int("vcpus"), "root_gb": f.Int("root_gb"), "ephemeral_gb": f.Int("ephemeral_gb"),
		"instance_type_id": f.Int("id"), "flavor": f, "config_drive": drive, "availability_zone": "nova",
		"metadata": orEmpty(b.request.Metadata), "system_metadata": system,
	} {
		o.Set(name, value)
	}
	if b.request.UserData != nil {
		o.Set("user_data", *b.request.UserData)
	}
	return o
}

// disks records the instance's disks: of the image, and those the flavor adds.
func (b *boot) disks(tx *cell.Tx, instance string) error {
	type blank struct {
		size int64
		swap bool
	}
	root := map[string]any{"source_type": "image", "image_id": b.image.ID(), "boot_index": 0}
	rows := []map[string]any{root}
	for _, d := range []blank{{b.flavor.Int("ephemeral_gb"), false}, {b.flavor.Int("swap"), true}} {
		row := map[string]any{"source_type": "blank", "boot_index": -1, "volume_size": d.size}
		if d.swap {
			row["guest_format"] = "swap"
		}
		if d.size > 0 {
			rows = append(rows, row)
		}
	}
	for _, row := range rows {
		o := tx.Profile().New("BlockDeviceMapping")
		for name, value := range row {
			o.Set(name, value)
		}
		for name, value := range map[string]any{
			"instance_uuid": instance, "destination_type": "local", "device_type": "disk", "delete_on_termination": true,
		} {
			o.Set(name, value)
		}
		if err := tx.Create(o); err != nil {
			return err
		}
		b.bdms = append(b.bdms, o)
	}
	return nil
}

// networkRequests are the networks and ports asked for.
func (b *boot) networkRequests(p nova.Profile) (*nova.Object, error) {
	var items []*nova.Object
	add := func(fields map[string]any) {
		o := p.New("NetworkRequest")
		for _, name := range []string{"network_id", "port_id", "address", "tag", "pci_request_id", "arq_uuid", "device_profile"} {
			o.Set(name, fields[name])
		}
		items = append(items, o)
	}
	switch networks := b.request.Networks.(type) {
	case string:
		add(map[string]any{"network_id": networks})
	case []any:
		for _, item := range networks {
			n, ok := item.(map[string]any)
			if !ok {
				return nil, web.Refuse(http.StatusBadRequest, "", "networks must be a list of objects")
			}
			add(map[string]any{"network_id": n["uuid"], "port_id": n["port"], "address": n["fixed_ip"], "tag": n["tag"]})
		}
	}
	return p.NewList("NetworkRequestList", items...), nil
}

var notInHostname = regexp.MustCompile(`[^a-z0-9.-]+`)

// hostname is what a guest may be called of its server's name.
func hostname(name string) string {
	h := strings.Trim(notInHostname.ReplaceAllString(strings.ToLower(strings.ReplaceAll(name, " ", "-")), ""), ".-")
	if h == "" {
		return "server"
	}
	return h[:min(63, len(h))]
}

// randomText has two letters for each of n bytes.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
