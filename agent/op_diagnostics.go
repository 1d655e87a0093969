package agent

import (
	"context"
	"fmt"
	"time"

	"libvirt.org/go/libvirtxml"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// opDiagnostics answers diagnostics of API versions before 2.48, whose keys are the hypervisor's own.
func opDiagnostics(*Agent) operation {
	return operation{
		method: "get_diagnostics", keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			d, err := t.measure(ctx)
			if err != nil {
				return nil, err
			}
			return d.plain(), nil
		},
	}
}

// opInstanceDiagnostics answers diagnostics of API version 2.48 and later, which every hypervisor shares.
func opInstanceDiagnostics(*Agent) operation {
	return operation{
		method: "get_instance_diagnostics", keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			d, err := t.measure(ctx)
			if err != nil {
				return nil, err
			}
			return d.object(t), nil
		},
	}
}

// diagnosis is what a running guest has used since it started.
type diagnosis struct {
	hypervisor.Stats
	disks map[string]bool   // targets in the guest's definition
	nics  map[string]string // MAC by device on the host
}

// measure reads the guest's figures. A guest that does not run is refused.
func (t *task) measure(ctx context.Context) (*diagnosis, error) {
	g, err := t.guest(ctx)
	if err != nil {
		return nil, err
	}
	if state := powerState(g.State); state != nova.PowerRunning {
		return nil, nova.NewError("InstanceInvalidState", map[string]any{
			"attr": "power state", "instance_uuid": t.inst.UUID(),
			"state": t.inst.PowerState().String(), "method": "get_diagnostics",
		})
	}
	domain, err := t.domain(ctx)
	if err != nil {
		return nil, err
	}
	stats, err := t.hypervisor.Stats(ctx, t.inst.UUID())
	if err != nil {
		return nil, t.guestError(err)
	}
	return &diagnosis{Stats: stats, disks: targets(domain), nics: addresses(domain)}, nil
}

func targets(d *libvirtxml.Domain) map[string]bool {
	out := map[string]bool{}
	for _, disk := range d.Devices.Disks {
		if disk.Target != nil {
			out[disk.Target.Dev] = true
		}
	}
	return out
}

func addresses(d *libvirtxml.Domain) map[string]string {
	out := map[string]string{}
	for _, i := range d.Devices.Interfaces {
		if i.Target != nil && i.MAC != nil {
			out[i.Target.Dev] = i.MAC.Address
		}
	}
	return out
}

// plain is the form of old API versions: times in ns, memory in KiB.
func (d *diagnosis) plain() map[string]any {
	out := map[string]any{"memory": d.Memory.Maximum, "memory-actual": d.Memory.Current, "memory-rss": d.Memory.RSS}
	for _, v := range d.VCPUs {
		out[fmt.Sprintf("cpu%d_time", v.Number)] = v.Time.Nanoseconds()
	}
	for _, k := range d.Disks {
		if d.disks[k.Target] {
			out[k.Target+"_read_req"], out[k.Target+"_read"] = k.ReadRequests, k.ReadBytes
			out[k.Target+"_write_req"], out[k.Target+"_write"] = k.WriteRequests, k.WriteBytes
			out[k.Target+"_errors"] = -1 // QEMU counts none, and Nova's node passes that on
		}
	}
	for _, n := range d.NICs {
		out[n.Name+"_rx"], out[n.Name+"_rx_packets"] = n.RxBytes, n.RxPackets
		out[n.Name+"_rx_errors"], out[n.Name+"_rx_drop"] = n.RxErrors, n.RxDropped
		out[n.Name+"_tx"], out[n.Name+"_tx_packets"] = n.TxBytes, n.TxPackets
		out[n.Name+"_tx_errors"], out[n.Name+"_tx_drop"] = n.TxErrors, n.TxDropped
	}
	return out
}

// object is the Diagnostics object: times in ns, memory in MiB, uptime in s.
func (d *diagnosis) object(t *task) *nova.Object {
	p := t.cond.Profile()
	out := p.New("Diagnostics")
	out.Set("state", nova.PowerRunning.String())
	out.Set("driver", "libvirt")
	out.Set("hypervisor", t.cfg.Libvirt.VirtType)
	out.Set("hypervisor_os", "linux")
	out.Set("uptime", int64(time.Since(t.inst.LaunchedAt()).Seconds()))
	out.Set("config_drive", t.inst.ConfigDrive() || t.cfg.Default.ForceConfigDrive)
	out.Set("memory_details", part(p, "MemoryDiagnostics", map[string]any{"maximum": d.Memory.Maximum >> 10, "used": d.Memory.Current >> 10}))
	var cpus, disks, nics []*nova.Object
	for _, v := range d.VCPUs {
		cpus = append(cpus, part(p, "CpuDiagnostics", map[string]any{"id": v.Number, "time": v.Time.Nanoseconds(), "utilisation": nil}))
	}
	for _, k := range d.Disks {
		if d.disks[k.Target] {
			disks = append(disks, part(p, "DiskDiagnostics", map[string]any{
				"read_bytes": k.ReadBytes, "read_requests": k.ReadRequests,
				"write_bytes": k.WriteBytes, "write_requests": k.WriteRequests, "errors_count": -1,
			}))
		}
	}
	for _, n := range d.NICs {
		nics = append(nics, part(p, "NicDiagnostics", map[string]any{
			"mac_address": d.nics[n.Name],
			"rx_octets":   n.RxBytes, "rx_errors": n.RxErrors, "rx_drop": n.RxDropped, "rx_packets": n.RxPackets, "rx_rate": nil,
			"tx_octets": n.TxBytes, "tx_errors": n.TxErrors, "tx_drop": n.TxDropped, "tx_packets": n.TxPackets, "tx_rate": nil,
		}))
	}
	for kind, list := range map[string][]*nova.Object{"cpu": cpus, "disk": disks, "nic": nics} {
		if list == nil {
			list = []*nova.Object{}
		}
		out.Set(kind+"_details", list)
		out.Set("num_"+kind+"s", len(list))
	}
	return out
}

func part(p nova.Profile, class string, fields map[string]any) *nova.Object {
	o := p.New(class)
	for k, v := range fields {
		o.Set(k, v)
	}
	return o
}

// powerState is Nova's number for what libvirt says of a guest.
func powerState(s hypervisor.State) nova.PowerState {
	switch s {
	case hypervisor.Running, hypervisor.Blocked:
		return nova.PowerRunning
	case hypervisor.Paused:
		return nova.PowerPaused
	case hypervisor.ShuttingDown, hypervisor.Shutoff:
		return nova.PowerShutdown
	case hypervisor.Crashed:
		return nova.PowerCrashed
	case hypervisor.PMSuspended:
		return nova.PowerSuspended
	}
	return nova.PowerNoState
}
