package guest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"bolide/rpc/nova"
)

// DriveRequest is what the files of a config drive are made from, beyond the guest's Request.
type DriveRequest struct {
	Request
	Devices        *nova.Object    // InstanceDeviceMetadata, as DeviceMetadata makes it; nil for none
	SecurityGroups []string        // names, of the instance's ports
	AdminPassword  string          // told to the guest, "" for none
	Files          []InjectedFile  // that the user asked to be put into the guest
	Dynamic        json.RawMessage // what the dynamic vendor data services answered: an object with a member for each
	Random         io.Reader       // required: seeds for the guest's random numbers
}

// InjectedFile is one file that the guest is to write to its disk.
type InjectedFile struct {
	Path    string
	Content []byte
}

// Versions of the metadata that guests can ask for: the OpenStack ones by what came with them.
const (
	folsom    = "2012-08-10"
	grizzly   = "2013-04-04" // random_seed
	havana    = "2013-10-17" // vendor_data.json
	liberty   = "2015-10-15" // network_data.json, project_id
	newtonOne = "2016-06-30" // devices
	newtonTwo = "2016-10-06" // vendor_data2.json
	ocata     = "2017-02-22" // VLANs of devices
	rocky     = "2018-08-27" // trust of virtual functions
	victoria  = "2020-10-14" // dedicated_cpus
	latest    = "latest"     // sorts behind all dates
)

var openstackVersions = []string{folsom, grizzly, havana, liberty, newtonOne, newtonTwo, ocata, rocky, victoria, latest}

// DriveFiles are the files of the instance's config drive, by their paths on it.
func DriveFiles(d DriveRequest) (map[string][]byte, error) {
	userData, err := d.userData()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if err := d.addEC2(files, userData); err != nil {
		return nil, err
	}
	for _, version := range openstackVersions {
		if err := d.addOpenStack(files, version, userData); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", version, err)
		}
	}
	for i, file := range d.Files {
		files["openstack"+contentPath(i)] = file.Content
	}
	return files, nil
}

// userData is what the user passed to the guest, nil for nothing.
func (d DriveRequest) userData() ([]byte, error) {
	if d.Instance.IsNull("user_data") {
		return nil, nil
	}
	data, err := base64.StdEncoding.DecodeString(d.Instance.UserData())
	if err != nil {
		return nil, nova.InvalidInput("user data is not base64: " + err.Error())
	}
	return append([]byte{}, data...), nil
}

// addOpenStack adds the files of one version.
func (d DriveRequest) addOpenStack(files map[string][]byte, version string, userData []byte) error {
	dir := path.Join("openstack", version)
	put := func(name string, v any) error {
		raw, err := encode(v)
		files[path.Join(dir, name)] = raw
		return err
	}
	about, err := d.aboutInstance(version)
	if err != nil {
		return err
	}
	if err := put("meta_data.json", about); err != nil {
		return err
	}
	if userData != nil {
		files[path.Join(dir, "user_data")] = userData
	}
	if version >= havana && slices.Contains(d.Settings.Drive.Providers, staticProvider) {
		if err := put("vendor_data.json", d.vendorData()); err != nil {
			return err
		}
	}
	if version >= liberty {
		if err := put("network_data.json", networkData(d.Network)); err != nil {
			return err
		}
	}
	if version >= newtonTwo {
		vendor, err := d.vendorData2()
		if err != nil {
			return err
		}
		return put("vendor_data2.json", vendor)
	}
	return nil
}

// aboutInstance is the content of meta_data.json.
func (d DriveRequest) aboutInstance(version string) (map[string]any, error) {
	about := map[string]any{
		"uuid":              d.Instance.UUID(),
		"hostname":          d.hostname(),
		"name":              d.Instance.Raw("display_name"),
		"launch_index":      d.Instance.LaunchIndex(),
		"availability_zone": d.Instance.Raw("availability_zone"),
	}
	if given := d.Instance.Metadata(); len(given) > 0 {
		about["meta"] = given
	}
	if d.AdminPassword != "" {
		about["admin_pass"] = d.AdminPassword
	}
	if len(d.Files) > 0 {
		var files []map[string]string
		for i, file := range d.Files {
			files = append(files, map[string]string{"path": file.Path, "content_path": contentPath(i)})
		}
		about["files"] = files
	}
	if pairs := d.Instance.KeyPairs(); d.Instance.KeyName() != "" && len(pairs) > 0 {
		key := pairs[0]
		about["public_keys"] = map[string]string{key.Name(): key.PublicKey()}
		about["keys"] = []map[string]string{{"name": key.Name(), "type": key.Type(), "data": key.PublicKey()}}
	}
	if version >= grizzly {
		seed := make([]byte, 512)
		if _, err := io.ReadFull(d.Random, seed); err != nil {
			return nil, fmt.Errorf("random seed: %w", err)
		}
		about["random_seed"] = base64.StdEncoding.EncodeToString(seed)
	}
	if version >= liberty {
		about["project_id"] = d.Instance.ProjectID()
	}
	if version >= newtonOne {
		about["devices"] = deviceData(d.Devices, version)
	}
	if version >= victoria {
		about["dedicated_cpus"] = d.dedicatedCPUs()
	}
	return about, nil
}

// dedicatedCPUs are the vcpus that have a host CPU to themselves.
func (d DriveRequest) dedicatedCPUs() []int {
	cpus := []int{}
	for _, cell := range d.Instance.NUMATopology().Cells() {
		cpus = append(cpus, ints(cell, "pcpuset")...)
	}
	slices.Sort(cpus)
	return cpus
}

// hostname is the one that the guest is to give itself.
func (d DriveRequest) hostname() string {
	if domain := d.Settings.Drive.Domain; domain != "" {
		return d.Instance.Hostname() + "." + domain
	}
	return d.Instance.Hostname()
}

// Providers of vendor data.
const (
	staticProvider  = "StaticJSON"
	dynamicProvider = "DynamicJSON"
)

// vendorData is what the operator tells all guests.
func (d DriveRequest) vendorData() json.RawMessage {
	if len(bytes.TrimSpace(d.Settings.Drive.VendorData)) == 0 {
		return json.RawMessage("{}")
	}
	return d.Settings.Drive.VendorData
}

// vendorData2 adds to that, under a name, what services answered about this guest.
func (d DriveRequest) vendorData2() (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for _, provider := range d.Settings.Drive.Providers {
		switch provider {
		case staticProvider:
			out["static"] = d.vendorData()
		case dynamicProvider:
			if len(d.Dynamic) == 0 {
				continue
			}
			var answers map[string]json.RawMessage
			if err := json.Unmarshal(d.Dynamic, &answers); err != nil {
				return nil, fmt.Errorf("dynamic vendor data: %w", err)
			}
			maps.DeleteFunc(answers, func(name string, _ json.RawMessage) bool { _, taken := out[name]; return taken })
			maps.Copy(out, answers)
		}
	}
	return out, nil
}

func contentPath(i int) string { return fmt.Sprintf("/content/%04d", i) }

// encode is json.Marshal without the escapes that are meant for web pages.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(out.String(), "\n")), nil
}
