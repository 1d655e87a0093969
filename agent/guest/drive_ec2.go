package guest

import (
	"path"
	"slices"
	"strconv"
)

// ec2Versions are the ones that Amazon's metadata had when Nova took it over.
var ec2Versions = []string{
	"1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04", latest,
}

// addEC2 adds the metadata as Amazon's guests know it. The operator says which old versions are left out.
func (d DriveRequest) addEC2(files map[string][]byte, userData []byte) error {
	for _, version := range ec2Versions {
		if slices.Contains(d.Settings.Drive.SkipVersions, version) {
			continue
		}
		raw, err := encode(d.ec2Data(version))
		if err != nil {
			return err
		}
		files[path.Join("ec2", version, "meta-data.json")] = raw
		if userData != nil {
			files[path.Join("ec2", version, "user-data")] = userData
		}
	}
	return nil
}

func (d DriveRequest) ec2Data(version string) map[string]any {
	ids := d.Instance.EC2Ids()
	data := map[string]any{
		"ami-id":            ids.Raw("ami_id"),
		"ami-launch-index":  d.Instance.LaunchIndex(),
		"ami-manifest-path": "FIXME", // what guests have been told since the beginning
		"instance-id":       ids.Raw("instance_id"),
		"hostname":          d.hostname(),
		"local-ipv4":        d.fixedIPv4(),
		"reservation-id":    d.Instance.Raw("reservation_id"),
		"security-groups":   append([]string{}, d.SecurityGroups...),
	}
	if name := d.Instance.KeyName(); name != "" {
		data["public-keys"] = map[string]any{
			"0": map[string]any{"_name": "0=" + name, "openssh-key": d.Instance.Raw("key_data")},
		}
	}
	if since(version, "2007-01-19") {
		data["local-hostname"] = d.hostname()
		data["public-hostname"] = d.hostname()
		data["public-ipv4"] = d.floatingIP()
	}
	if since(version, "2007-08-29") {
		data["instance-type"] = d.Instance.Flavor().Name()
	}
	if since(version, "2007-12-15") {
		data["block-device-mapping"] = d.ec2Disks()
		if id := ids.KernelID(); id != "" {
			data["kernel-id"] = id
		}
		if id := ids.RamdiskID(); id != "" {
			data["ramdisk-id"] = id
		}
	}
	if since(version, "2008-02-01") {
		data["placement"] = map[string]any{"availability-zone": d.Instance.Raw("availability_zone")}
	}
	if since(version, "2008-09-01") {
		data["instance-action"] = "none"
	}
	return data
}

// since tells whether a version has what came with another one.
func since(version, first string) bool {
	return slices.Index(ec2Versions, version) >= slices.Index(ec2Versions, first)
}

// fixedIPv4 is the first address, null when there is none.
func (d DriveRequest) fixedIPv4() any {
	for _, ip := range d.Network.FixedIPs() {
		if ip.Version == 4 {
			return ip.Address
		}
	}
	return nil
}

func (d DriveRequest) floatingIP() string {
	for _, ip := range d.Network.FixedIPs() {
		if len(ip.FloatingIPs) > 0 {
			return ip.FloatingIPs[0].Address
		}
	}
	return ""
}

// ec2Disks names the disks by their part.
func (d DriveRequest) ec2Disks() map[string]string {
	root := d.Instance.RootDeviceName()
	if root == "" {
		return map[string]string{"ami": "sda1", "ephemeral0": "sda2", "root": "/dev/sda1", "swap": "sda3"} // Amazon's own
	}
	out := map[string]string{"ami": stripDev(root), "root": root}
	if name := d.Instance.DefaultEphemeralDevice(); name != "" {
		out["ephemeral0"] = name
	}
	if name := d.Instance.DefaultSwapDevice(); name != "" {
		out["swap"] = name
	}
	all := sortRows(d.BlockDevices)
	var volumes []string
	for _, row := range all.volumes {
		volumes = append(volumes, row.DeviceName())
	}
	slices.Sort(volumes)
	for i, name := range volumes {
		out["ebs"+strconv.Itoa(i)] = name
	}
	if all.swap != nil {
		out["swap"] = all.swap.DeviceName()
	}
	for i, row := range all.ephemerals {
		out["ephemeral"+strconv.Itoa(i)] = row.DeviceName()
	}
	return out
}
