package guest

import (
	"encoding/xml"
	"time"

	"bolide/rpc/nova"
)

// Metadata that the domain carries, by which operators' tools (ceilometer, monitoring exporters) know whose guest it is.
// The prefix is written out, since they look for it.
type instanceMetadata struct {
	XMLName  xml.Name `xml:"nova:instance"`
	XMLNS    string   `xml:"xmlns:nova,attr"`
	Package  packageMetadata
	Name     string `xml:"nova:name"`
	Created  string `xml:"nova:creationTime"`
	Flavor   flavorMetadata
	Owner    ownerMetadata
	Root     *rootMetadata
	PortList portListMetadata
}

type packageMetadata struct {
	XMLName xml.Name `xml:"nova:package"`
	Version string   `xml:"version,attr"`
}

type flavorMetadata struct {
	XMLName   xml.Name `xml:"nova:flavor"`
	Name      string   `xml:"name,attr"`
	Memory    int64    `xml:"nova:memory"` // MiB
	Disk      int64    `xml:"nova:disk"`   // GiB
	Swap      int64    `xml:"nova:swap"`   // MiB
	Ephemeral int64    `xml:"nova:ephemeral"`
	VCPUs     int64    `xml:"nova:vcpus"`
}

type ownerMetadata struct {
	XMLName xml.Name      `xml:"nova:owner"`
	User    namedMetadata `xml:"nova:user"`
	Project namedMetadata `xml:"nova:project"`
}

type namedMetadata struct {
	UUID string `xml:"uuid,attr"`
	Name string `xml:",chardata"`
}

type rootMetadata struct {
	XMLName xml.Name `xml:"nova:root"`
	Type    string   `xml:"type,attr"`
	UUID    string   `xml:"uuid,attr"`
}

type portListMetadata struct {
	XMLName xml.Name       `xml:"nova:ports"`
	Ports   []portMetadata `xml:"nova:port"`
}

type portMetadata struct {
	UUID string       `xml:"uuid,attr"`
	IPs  []ipMetadata `xml:"nova:ip"`
}

type ipMetadata struct {
	Type    string `xml:"type,attr"`
	Address string `xml:"address,attr"`
	Version int    `xml:"ipVersion,attr"`
}

// MetadataNamespace and MetadataKey are what readers of the element know it by.
const (
	MetadataNamespace = "http://openstack.org/xmlns/libvirt/nova/1.1"
	MetadataKey       = "instance"
)

// Metadata writes the <nova:instance> element of a domain, which says whose guest it is and which ports it has.
func Metadata(r Request) string {
	flavor := r.Instance.Flavor()
	system := r.Instance.SystemMetadata()
	m := instanceMetadata{
		XMLNS:   MetadataNamespace,
		Package: packageMetadata{Version: r.Settings.Product.Version},
		Name:    r.Instance.DisplayName(),
		Created: r.Created.UTC().Format(time.DateTime),
		Flavor: flavorMetadata{
			Name: flavor.Name(), Memory: flavor.MemoryMB(), Disk: flavor.RootGB(), Swap: flavor.SwapMB(),
			Ephemeral: flavor.EphemeralGB(), VCPUs: flavor.VCPUs(),
		},
		Owner: ownerMetadata{
			User:    namedMetadata{UUID: r.Instance.UserID(), Name: orUnknown(system["owner_user_name"])},
			Project: namedMetadata{UUID: r.Instance.ProjectID(), Name: orUnknown(system["owner_project_name"])},
		},
		Root:     rootOf(r.Instance),
		PortList: portListMetadata{Ports: portsOf(r)},
	}
	text, err := xml.MarshalIndent(m, "", "  ")
	if err != nil {
		return "" // cannot happen: the types above are all that there is to write
	}
	return string(text)
}

func rootOf(instance nova.Instance) *rootMetadata {
	if instance.ImageRef() == "" {
		return nil
	}
	return &rootMetadata{Type: "image", UUID: instance.ImageRef()}
}

func portsOf(r Request) []portMetadata {
	var ports []portMetadata
	for _, vif := range r.Network {
		port := portMetadata{UUID: vif.ID}
		for _, ip := range vif.FixedIPs() {
			port.IPs = append(port.IPs, ipMetadata{Type: ip.Type, Address: ip.Address, Version: ip.Version})
		}
		ports = append(ports, port)
	}
	return ports
}

func orUnknown(name string) string {
	if name == "" {
		return "N/A"
	}
	return name
}
