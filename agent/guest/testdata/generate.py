#!/usr/bin/python3
"""Ask Nova's libvirt driver for the domains of guests that the test machine cannot run.

    generate.py OUTDIR

Needs Nova 26 (Debian: nova-compute, python3-nova with its tests) and a libvirtd with QEMU for x86_64. The driver is
Nova's own, called for its XML only; what it would ask of a bigger host (NUMA nodes, KVM, SEV, SR-IOV) is answered here.
Each case becomes one txtar file: the inputs as they cross RPC, the settings that differ from the defaults, the domain.
"""
import json
import sys
import uuid
from unittest import mock

import os_vif
from oslo_utils import timeutils

import nova.conf
from nova import config, context, objects
from nova.network import model as network_model
from nova.objects import fields
from nova.virt import fake
from nova.virt.libvirt import blockinfo, driver, host as libvirt_host, imagebackend

CONF = nova.conf.CONF
OUT = sys.argv[1]
ID = "5d2b1f6c-0000-4000-8000-00000000000%x"
config.parse_args(["generate"], default_config_files=[], init_rpc=False)
objects.register_all()
os_vif.initialize()


def numa_host():
    cells = []
    for i in range(2):
        cpus = set(range(4 * i, 4 * i + 4))
        cells.append(objects.NUMACell(
            id=i, cpuset=cpus, pcpuset=cpus, socket=i, memory=8192, cpu_usage=0, memory_usage=0,
            siblings=[{c} for c in cpus], pinned_cpus=set(),
            mempages=[objects.NUMAPagesTopology(size_kb=s, total=t, used=0) for s, t in ((4, 524288), (2048, 1024), (1048576, 4))],
            network_metadata=objects.NetworkMetadata(physnets=set(), tunneled=False)))
    return objects.NUMATopology(cells=cells)


NUMA = [{"ID": i, "CPUs": list(range(4 * i, 4 * i + 4)), "PageSizes": [4, 2048, 1048576]} for i in range(2)]


def cell(i, cpus=(), pcpus=(), memory=1024, **k):
    pins = k.pop("pins", None)
    c = objects.InstanceNUMACell(id=i, cpuset=set(cpus), pcpuset=set(pcpus), memory=memory, **k)
    if pins:
        c.cpu_pinning = pins
    return c


def vif(n, kind, vnic="normal", details=None, profile=None, **k):
    port = "%08x-1111-4222-8333-444444444444" % (0xa0 + n)
    subnet = network_model.Subnet(cidr="192.0.2.0/24", version=4, ips=[network_model.FixedIP(address="192.0.2.%d" % (10 + n))])
    net = network_model.Network(id="77777777-1111-4222-8333-444444444444", bridge=k.pop("bridge", "br-int"), label="net",
                                subnets=[subnet], mtu=1450)
    return network_model.VIF(id=port, address="fa:16:3e:00:00:%02x" % n, network=net, type=kind, vnic_type=vnic,
                             details=details or {}, profile=profile or {}, devname="tap" + port[:11], active=False, **k)


CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


KVM = dict(conf={"libvirt.virt_type": "kvm", "libvirt.cpu_mode": None}, settings={"VirtType": "kvm", "CPUMode": ""})


def kvm(conf=None, settings=None, **k):
    return dict(k, conf={**KVM["conf"], **(conf or {})}, settings={**KVM["settings"], **(settings or {})})


@case
def kvm_default(): return kvm()
@case
def kvm_windows(): return kvm(os_type="windows", props=dict(os_type="windows", hw_time_hpet="true", img_hide_hypervisor_id="true", hw_video_model="vga", hw_vif_model="e1000e"))
@case
def kvm_passthrough(): return kvm(conf={"libvirt.cpu_mode": "host-passthrough", "libvirt.cpu_model_extra_flags": ["PDPE1GB", "+ssbd", "-mtrr"], "libvirt.enabled_perf_events": []},
                                  settings={"CPUMode": "host-passthrough", "CPUFlags": ["PDPE1GB", "+ssbd", "-mtrr"]}, specs={"hw:pmu": "true", "hw:boot_menu": "true", "hw:hide_hypervisor_id": "true"})
@case
def kvm_pinned():
    return kvm(vcpus=4, ram=4096, specs={"hw:cpu_policy": "dedicated", "hw:numa_nodes": "2", "hw:mem_page_size": "large", "hw:emulator_threads_policy": "isolate", "hw:locked_memory": "true"},
               numa=dict(cells=[cell(0, pcpus=(0, 1), memory=2048, pagesize=2048, pins={0: 1, 1: 3}, cpuset_reserved={0}, cpu_policy="dedicated"),
                                cell(1, pcpus=(2, 3), memory=2048, pagesize=1048576, pins={2: 5, 3: 6}, cpu_policy="dedicated")], emulator_threads_policy="isolate"))
@case
def kvm_swapped_nodes():
    return kvm(vcpus=2, ram=2048, specs={"hw:numa_nodes": "1"}, numa=dict(cells=[cell(1, cpus=(0, 1), memory=2048)]))
@case
def kvm_realtime():
    return kvm(vcpus=4, ram=1024, specs={"hw:cpu_policy": "dedicated", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "^0-1"},
               numa=dict(cells=[cell(0, pcpus=(0, 1, 2, 3), pins={0: 0, 1: 1, 2: 2, 3: 3}, cpu_policy="dedicated")]))
@case
def kvm_mixed():
    return kvm(vcpus=4, ram=1024, conf={"compute.cpu_shared_set": "0-1", "compute.cpu_dedicated_set": "2-3"}, settings={"CPUSharedSetGiven": True}, host={"SharedCPUs": [0, 1]},
               specs={"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0-1", "hw:emulator_threads_policy": "share"},
               numa=dict(cells=[cell(0, cpus=(0, 1), pcpus=(2, 3), pins={2: 2, 3: 3}, cpu_policy="mixed")], emulator_threads_policy="share"))
@case
def kvm_shared_cpus(): return kvm(conf={"compute.cpu_shared_set": "0-1"}, settings={"CPUSharedSetGiven": True}, host={"SharedCPUs": [0, 1]}, vcpus=2)
@case
def kvm_filebacked(): return kvm(conf={"libvirt.file_backed_memory": 8192}, settings={"FileBackedMemory": True})
@case
def kvm_topology(): return kvm(vcpus=12, specs={"hw:cpu_max_sockets": "2", "hw:cpu_threads": "2"}, props=dict(hw_cpu_max_threads="2", hw_cpu_max_cores="6"))
@case
def kvm_vifs():
    return kvm(vcpus=4, props=dict(hw_vif_multiqueue_enabled="true"), conf={"libvirt.rx_queue_size": 512, "libvirt.tx_queue_size": 1024, "libvirt.max_queues": 3},
               settings={"RXQueueSize": 512, "TXQueueSize": 1024, "MaxQueues": 3},
               host={"PCIInterfaces": {"0000:81:00.5": "enp129s0v5"}, "VDPADevices": {"0000:81:00.7": "/dev/vhost-vdpa-0"}},
               specs={"quota:vif_inbound_average": "1000", "quota:vif_inbound_burst": "100", "quota:vif_outbound_peak": "500"},
               vifs=[vif(1, "ovs", ovs_interfaceid="a1b2c3d4"), vif(2, "ovs", details={"ovs_hybrid_plug": True}), vif(3, "ovs", delegate_create=True),
                     vif(4, "vhostuser", details={"vhostuser_socket": "/run/openvswitch/vhu1", "vhostuser_mode": "client", "vhostuser_ovs_plug": True}),
                     vif(5, "vhostuser", details={"vhostuser_socket": "/run/snabb/1"}),
                     vif(6, "tap"), vif(7, "macvtap", vnic="macvtap", details={"macvtap_source": "eth1.100", "macvtap_mode": "bridge", "physical_interface": "eth1"}),
                     vif(8, "hw_veb", vnic="direct", details={"vlan": "100"}, profile={"pci_slot": "0000:81:00.4"}),
                     vif(9, "hw_veb", vnic="macvtap", details={"vlan": "101"}, profile={"pci_slot": "0000:81:00.5"}),
                     vif(10, "ovs", vnic="direct", profile={"pci_slot": "0000:81:00.6"}), vif(11, "ovs", vnic="vdpa", profile={"pci_slot": "0000:81:00.7"}),
                     vif(12, "hostdev_physical", vnic="direct-physical", profile={"pci_slot": "0000:82:00.0"}),
                     vif(13, "vrouter"), vif(14, "bridge", bridge="brq77777777-11")])
@case
def kvm_rtl8139(): return kvm(props=dict(hw_vif_model="rtl8139"), conf={"libvirt.rx_queue_size": 512}, settings={"RXQueueSize": 512}, vifs=[vif(1, "bridge", bridge="brq0")])
@case
def kvm_sev():
    return kvm(props=dict(hw_firmware_type="uefi", hw_machine_type="q35", hw_mem_encryption="true", hw_qemu_guest_agent="yes", hw_scsi_model="virtio-scsi", hw_disk_bus="scsi"), sev=True,
               host={"SEV": {"CBitPos": 47, "ReducedPhysBits": 1}})
@case
def kvm_tpm(): return kvm(props=dict(hw_tpm_model="tpm-crb"), specs={"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}, system={"vtpm_secret_uuid": "12345678-1111-4222-8333-444444444444"}, conf={"libvirt.swtpm_enabled": True})
@case
def kvm_devices():
    return kvm(props=dict(hw_input_bus="virtio", hw_viommu_model="auto", hw_machine_type="q35", hw_watchdog_action="pause"), pci=["0000:3b:02.1", "0000:af:00.0"],
               mdevs=["22222222-1111-4222-8333-444444444444"], conf={"libvirt.num_pcie_ports": 2}, settings={"PCIePorts": 2})
@case
def kvm_preallocated(): return kvm(conf={"preallocate_images": "space", "libvirt.disk_cachemodes": ["file=writeback"]}, settings={"Preallocate": True, "DiskCacheModes": {"file": "writeback"}},
                                   specs={"quota:disk_total_bytes_sec": "1048576", "quota:cpu_quota": "-1"})
@case
def kvm_spice(): return kvm(conf={"spice.enabled": True, "vnc.enabled": False}, settings={"VNC": {"Enabled": False}, "SPICE": {"Enabled": True, "Listen": "127.0.0.1"}})
@case
def kvm_no_screen(): return kvm(conf={"vnc.enabled": False, "libvirt.use_virtio_for_bridges": False}, settings={"VNC": {"Enabled": False}, "VirtioForBridges": False}, vifs=[vif(1, "bridge", bridge="brq0")])


def instance_of(c):
    specs = c.get("specs", {})
    flavor = objects.Flavor(id=1, name="big", memory_mb=c.get("ram", 512), vcpus=c.get("vcpus", 1), root_gb=1, ephemeral_gb=0, swap=0,
                            flavorid="1", rxtx_factor=1.0, vcpu_weight=0, disabled=False, is_public=True, extra_specs=specs, deleted=False)
    props = c.get("props", {})
    system = {"image_" + k: v for k, v in props.items()}
    system.update({"image_disk_format": "qcow2", "image_container_format": "bare", "owner_user_name": "demo", "owner_project_name": "demo"}, **c.get("system", {}))
    i = objects.Instance(
        context.get_admin_context(), id=66, uuid="0fba2a70-9a8b-4f2b-a38b-6b0a8f1d6a3b", display_name="guest", hostname="guest", host="compute1", node="compute1",
        user_id="u" * 32, project_id="d" * 32, image_ref="c0ffee00-1111-4222-8333-444444444444", kernel_id="", ramdisk_id="", os_type=c.get("os_type"),
        vm_mode=None, root_device_name="/dev/vda", config_drive="", ephemeral_gb=0, flavor=flavor, system_metadata=system, launched_at=None, numa_topology=None,
        resources=None, vcpu_model=None, user_data=None, key_name=None, metadata={}, availability_zone="nova", launch_index=0, reservation_id="r-1",
        pci_requests=objects.InstancePCIRequests(requests=[]), pci_devices=objects.PciDeviceList(objects=[]))
    if c.get("numa"):
        i.numa_topology = objects.InstanceNUMATopology(instance_uuid=i.uuid, **c["numa"])
    for n, address in enumerate(c.get("pci", [])):
        i.pci_requests.requests.append(objects.InstancePCIRequest(count=1, alias_name="card", request_id=ID % n, spec=[{"vendor_id": "8086"}]))
        i.pci_devices.objects.append(objects.PciDevice(address=address, request_id=ID % n, status="allocated"))
    i.obj_reset_changes(recursive=True)
    return i


def plain(o):
    if isinstance(o, dict):
        return {k: plain(v) for k, v in o.items() if k != "nova_object.changes"}
    return [plain(v) for v in o] if isinstance(o, list) else o


def main():
    base = {"instances_path": "/var/lib/nova/instances", "libvirt.virt_type": "qemu", "libvirt.cpu_mode": "none", "vnc.enabled": True, "spice.enabled": False}
    drv = driver.LibvirtDriver(fake.FakeVirtAPI(), read_only=False)
    for name, f in CASES.items():
        c = f()
        for key, value in {**base, **c["conf"]}.items():
            group, _, option = key.rpartition(".")
            CONF.set_override(option, value, group or None)
        host = drv._host
        sev = mock.Mock(root_name="sev", cbitpos=47, reduced_phys_bits=1)
        drv._disk_cachemode = None
        drv.disk_cachemodes = {}
        for mode in CONF.libvirt.disk_cachemodes:
            kind, _, value = mode.partition("=")
            drv.disk_cachemodes[kind] = value
        inst = instance_of(c)
        info = network_model.NetworkInfo(c.get("vifs", []))
        before = plain(inst.obj_to_primitive())
        patches = [
            mock.patch.object(drv, "_has_numa_support", return_value=True),
            mock.patch.object(drv, "_get_host_numa_topology", return_value=numa_host() if c.get("numa") else None),
            mock.patch.object(drv, "_get_vcpu_available", return_value={0, 1}),
            mock.patch.object(host, "get_online_cpus", return_value=set(range(8))),
            mock.patch.object(host, "is_cpu_control_policy_capable", return_value=True),
            mock.patch.object(host, "_supports_amd_sev", bool(c.get("sev"))),
            mock.patch.object(host, "_supports_uefi", True),
            mock.patch.object(drv, "_find_sev_feature", return_value=sev),
            mock.patch.object(host, "get_vdpa_device_path", return_value="/dev/vhost-vdpa-0"),
            mock.patch("nova.pci.utils.get_ifname_by_pci_address", return_value="enp129s0v5"),
            mock.patch("nova.privsep.utils.supports_direct_io", return_value=True),
            mock.patch.object(imagebackend.Qcow2, "resolve_driver_format", lambda self: "qcow2"),
            mock.patch.object(imagebackend.Image, "_can_fallocate", lambda self: True),
        ]
        for p in patches:
            p.start()
        try:
            rows = objects.BlockDeviceMappingList(objects=[objects.BlockDeviceMapping(
                id=1, uuid="33333333-1111-4222-8333-444444444444", instance_uuid=inst.uuid, source_type="image", destination_type="local", device_type="disk",
                disk_bus=inst.image_meta.properties.get("hw_disk_bus", "virtio"), device_name="/dev/sda" if c.get("sev") else "/dev/vda", boot_index=0, image_id=inst.image_ref,
                volume_size=None, guest_format=None, delete_on_termination=True, no_device=False, tag=None, encrypted=False, encryption_secret_uuid=None, encryption_format=None, encryption_options=None)])
            from nova.virt import driver as virt_driver
            bdi = virt_driver.get_block_device_info(inst, rows)
            disks = blockinfo.get_disk_info(CONF.libvirt.virt_type, inst, inst.image_meta, bdi)
            conf = drv._get_guest_config(inst, info, inst.image_meta, disks, block_device_info=bdi, context=context.get_admin_context(), mdevs=c.get("mdevs"))
            xml = conf.to_xml()
        finally:
            for p in patches:
                p.stop()
        about = {"settings": "plain", "override": {"settings": c["settings"], "host": {"Libvirt": 9000000, **({"NUMA": NUMA} if c.get("numa") else {"NUMA": None}), **c.get("host", {})}}}
        if c.get("mdevs"):
            about["mdevs"] = c["mdevs"]
        files = {"about.json": about, "instance.json": before, "mappings.json": plain([r.obj_to_primitive() for r in rows]), "network.json": info}
        with open(f"{OUT}/{name}.txtar", "w") as out:
            for file, value in files.items():
                out.write(f"-- {file} --\n" + json.dumps(value, indent=1, default=str) + "\n")
            out.write("-- domain.xml --\n" + xml.rstrip() + "\n")
        for key in {**base, **c["conf"]}:
            group, _, option = key.rpartition(".")
            CONF.clear_override(option, group or None)
        print(name, flush=True)


main()
