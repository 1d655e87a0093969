#!/usr/bin/python3
"""Ask Nova's libvirt driver what it makes of guests' descriptions for the destination of a live migration.

    generate.py GUESTS OUTDIR

GUESTS are the golden files of agent/guest. Needs Nova 26 (Debian: python3-nova). Each case becomes one txtar file: the
description here, the data that the hosts agreed on, the description there. Ports are left out: for those this program
goes a way of its own.
"""
import json
import re
import sys

from nova import config, objects
from nova.conf import CONF
from nova.virt.libvirt import migration

config.parse_args(["generate"], default_config_files=[])
objects.register_all()
NUMA = objects.LibvirtLiveMigrateNUMAInfo
CASES = {
    # name: (guest, flavor's extra specs, data)
    "plain": ("plain", {}, {}),
    "vnc_elsewhere": ("kvm_default", {}, dict(graphics_listen_addr_vnc="10.0.0.2")),
    "spice_elsewhere": ("kvm_spice", {}, dict(graphics_listen_addr_spice="10.0.0.2")),
    "serial": ("tuned_plain", {}, dict(serial_listen_addr="10.0.0.2", serial_listen_ports=[10000, 10001, 10002])),
    "no_ports_given": ("tuned_plain", {}, dict(serial_listen_addr="10.0.0.2")),
    "into_files": ("kvm_default", {}, dict(dst_wants_file_backed_memory=True)),
    "out_of_files": ("kvm_filebacked", {}, {}),
    "perf": ("kvm_default", {}, dict(supported_perf_events=["cmt", "mbml"])),
    "serial_and_perf": ("tuned_two_nics", {}, dict(
        serial_listen_addr="10.0.0.2", serial_listen_ports=[10007], supported_perf_events=["mbmt"])),
    "shares_kept": ("quotas", {"quota:cpu_shares": "100"}, {}),
    "shares_dropped": ("quotas", {}, {}),
    "pinned": ("kvm_pinned", {}, dict(dst_numa_info=NUMA(
        cpu_pins={"0": {8}, "1": {10}, "2": {12}, "3": {14}}, cell_pins={"0": {2}, "1": {3}}, emulator_pins={9}))),
    "realtime": ("kvm_realtime", {}, dict(dst_numa_info=NUMA(
        cpu_pins={"0": {4}, "1": {5}, "2": {6}, "3": {7}}, cell_pins={"0": {1}}, emulator_pins={4},
        sched_vcpus={2, 3}, sched_priority=3))),
}


class Guest:
    def __init__(self, xml):
        self.xml = xml

    def get_xml_desc(self, dump_migratable):
        return self.xml


def section(text, name):
    return re.search(r"^-- %s --\n(.*?)(?=^-- |\Z)" % re.escape(name), text, re.M | re.S).group(1)


def main(guests, out):
    for name, (guest, specs, changes) in CASES.items():
        xml = section(open("%s/%s.txtar" % (guests, guest)).read(), "domain.xml")
        data = objects.LibvirtLiveMigrateData(
            graphics_listen_addr_vnc="127.0.0.1", graphics_listen_addr_spice="127.0.0.1", serial_listen_addr=None,
            serial_listen_ports=[], supported_perf_events=[], dst_wants_file_backed_memory=False, bdms=[])
        for field, value in changes.items():
            setattr(data, field, value)
        instance = objects.Instance(flavor=objects.Flavor(extra_specs=specs))
        there = migration.get_updated_guest_xml(instance, Guest(xml), data, None)
        with open("%s/%s.txtar" % (out, name), "w") as f:
            f.write("-- data.json --\n%s\n" % json.dumps(data.obj_to_primitive(), indent=1, sort_keys=True))
            f.write("-- flavor.json --\n%s\n-- here.xml --\n%s\n-- there.xml --\n%s\n" % (json.dumps(specs), xml.rstrip(), there.rstrip()))


main(*sys.argv[1:])
