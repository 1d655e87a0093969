package hypervisor

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// describe writes the <cpu> of a host like this one, but with the given model and
// features. It has only what Nova puts there: more would let libvirt find a model
// that fits better, and other features.
func (c CPU) describe(model string, features []string) (string, error) {
	x := libvirtxml.CapsHostCPU{Arch: c.Arch, Model: model, Vendor: c.Vendor}
	if c.Sockets > 0 {
		x.Topology = &libvirtxml.CapsHostCPUTopology{Sockets: c.Sockets, Cores: c.Cores, Threads: c.Threads}
	}
	for _, f := range slices.Sorted(slices.Values(features)) {
		x.FeatureFlags = append(x.FeatureFlags, libvirtxml.CapsHostCPUFeatureFlag{Name: f})
	}
	text, err := xml.Marshal(x)
	return string(text), err
}

// expandFeatures returns all features of a host with a CPU model and features,
// sorted, also those that the model implies; nil where libvirt cannot tell.
func (h *Host) expandFeatures(ctx context.Context, host CPU, model string, features []string) ([]string, error) {
	cpu, err := host.describe(model, features)
	if err != nil {
		return nil, err
	}
	h.facts.mu.Lock()
	known, ok := h.facts.expanded[cpu]
	h.facts.mu.Unlock()
	if ok {
		return known, nil
	}
	text, err := ask(ctx, h, call{op: "ask features of CPU"}, func(conn *libvirt.Connect) (string, error) {
		text, err := conn.BaselineCPU([]string{cpu}, libvirt.CONNECT_BASELINE_CPU_EXPAND_FEATURES)
		if isCode(err, libvirt.ERR_NO_SUPPORT) {
			return "", nil
		}
		return text, err
	})
	if err != nil || text == "" {
		return nil, err
	}
	var x libvirtxml.DomainCPU
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return nil, fmt.Errorf("libvirt: read features of CPU: %w", err)
	}
	features = []string{}
	for _, f := range x.Features {
		if f.Policy != "disable" {
			features = append(features, f.Name)
		}
	}
	slices.Sort(features)
	h.facts.mu.Lock()
	defer h.facts.mu.Unlock()
	if h.facts.expanded == nil {
		h.facts.expanded = map[string][]string{}
	}
	h.facts.expanded[cpu] = features
	return features, nil
}

// CPUInfo returns the JSON of cpu_info in Nova's compute node record.
func (f *Facts) CPUInfo() (string, error) {
	type topology struct {
		Cells   int `json:"cells"`
		Sockets int `json:"sockets"`
		Cores   int `json:"cores"`
		Threads int `json:"threads"`
	}
	info := struct {
		Arch     string   `json:"arch"`
		Model    *string  `json:"model"` // null where libvirt does not know it
		Vendor   *string  `json:"vendor"`
		Topology topology `json:"topology"`
		Features []string `json:"features"`
	}{
		Arch: f.CPU.Arch, Model: orNull(f.CPU.Model), Vendor: orNull(f.CPU.Vendor),
		Topology: topology{Cells: len(f.Cells), Sockets: f.CPU.Sockets, Cores: f.CPU.Cores, Threads: f.CPU.Threads},
		Features: append([]string{}, f.CPU.Features...),
	}
	text, err := json.Marshal(info)
	return string(text), err
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// CPUModelNames returns libvirt's spelling of the CPU models of the host's
// architecture by their names in lower case, for configuration in any case.
func (h *Host) CPUModelNames(ctx context.Context) (map[string]string, error) {
	f, err := h.Facts(ctx)
	if err != nil {
		return nil, err
	}
	names, err := ask(ctx, h, call{op: "list CPU models"}, func(conn *libvirt.Connect) ([]string, error) {
		return conn.GetCPUModelNames(f.CPU.Arch, 0)
	})
	if err != nil {
		return nil, err
	}
	byLower := make(map[string]string, len(names))
	for _, n := range names {
		byLower[strings.ToLower(n)] = n
	}
	return byLower, nil
}

// CPUComparison is how a CPU relates to the host's.
type CPUComparison string

// Results of CompareCPU (virCPUCompareResult).
const (
	CPUIncompatible CPUComparison = "incompatible" // the host lacks some of it
	CPUIdentical    CPUComparison = "identical"
	CPUSuperset     CPUComparison = "superset" // the host has all of it and more
)

// CompareCPU compares the CPU of a <cpu> element with the host's.
func (h *Host) CompareCPU(ctx context.Context, cpu string) (CPUComparison, error) {
	result, err := ask(ctx, h, call{op: "compare CPU"}, func(conn *libvirt.Connect) (libvirt.CPUCompareResult, error) {
		return conn.CompareCPU(cpu, 0)
	})
	if err != nil {
		return "", err
	}
	switch result {
	case libvirt.CPU_COMPARE_IDENTICAL:
		return CPUIdentical, nil
	case libvirt.CPU_COMPARE_SUPERSET:
		return CPUSuperset, nil
	}
	return CPUIncompatible, nil
}
