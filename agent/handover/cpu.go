package handover

import (
	"encoding/json"
	"encoding/xml"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"bolide/rpc/nova"
)

// GuestCPU is the CPU that the guest was given, for libvirt to compare with a host's; "" where the record names no
// model, because the guest has its host's own or the emulator's.
func GuestCPU(model *nova.Object) (string, error) {
	if model.Str("model") == "" {
		return "", nil
	}
	cpu := libvirtxml.DomainCPU{
		Mode: model.Str("mode"), Match: model.Str("match"),
		Model: &libvirtxml.DomainCPUModel{Value: model.Str("model")}, Vendor: model.Str("vendor"),
	}
	if t := model.Obj("topology"); t.Exists() {
		cpu.Topology = &libvirtxml.DomainCPUTopology{
			Sockets: int(t.Int("sockets")), Cores: int(t.Int("cores")), Threads: int(t.Int("threads")),
		}
	}
	for _, f := range model.List("features") {
		cpu.Features = append(cpu.Features, libvirtxml.DomainCPUFeature{Name: f.Str("name"), Policy: f.Str("policy")})
	}
	return marshal(cpu)
}

// HostCPU is a host's CPU as its record's cpu_info describes it, for libvirt to compare with another.
func HostCPU(info string) (string, error) {
	var host struct {
		Arch     string   `json:"arch"`
		Model    string   `json:"model"`
		Vendor   string   `json:"vendor"`
		Features []string `json:"features"`
		Topology struct {
			Sockets int `json:"sockets"`
			Cores   int `json:"cores"`
			Threads int `json:"threads"`
		} `json:"topology"`
	}
	if err := json.Unmarshal([]byte(info), &host); err != nil {
		return "", fmt.Errorf("read cpu_info of the source: %w", err)
	}
	cpu := libvirtxml.CapsHostCPU{
		Arch: host.Arch, Model: host.Model, Vendor: host.Vendor,
		Topology: &libvirtxml.CapsHostCPUTopology{Sockets: host.Topology.Sockets, Cores: host.Topology.Cores, Threads: host.Topology.Threads},
	}
	for _, f := range host.Features {
		cpu.FeatureFlags = append(cpu.FeatureFlags, libvirtxml.CapsHostCPUFeatureFlag{Name: f})
	}
	return marshal(cpu)
}

func marshal(cpu any) (string, error) {
	text, err := xml.Marshal(cpu)
	return string(text), err
}
