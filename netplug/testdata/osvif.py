"""Plug or unplug a port as Nova's node does, with os-vif, for the test that compares.

The standard input is an object of the test's type osVIF.
"""
import json
import sys
import tempfile

from oslo_config import cfg

want = json.load(sys.stdin)
conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
conf.write("[os_vif_ovs]\n" + "".join("%s = %s\n" % o for o in want["Options"].items()))
conf.flush()
cfg.CONF(["--config-file", conf.name], project="netplug")

import os_vif  # noqa: E402
from os_vif import objects  # noqa: E402
from vif_plug_ovs import privsep  # noqa: E402

privsep.vif_plug.set_client_mode(False)  # in this process: it is root
os_vif.initialize()

port = want["Port"]
profile = objects.vif.VIFPortProfileOpenVSwitch(
    interface_id=port["ID"], datapath_type=port["Switch"]["Datapath"])
common = dict(
    id=port["ID"], address=port["MAC"], plugin="ovs", port_profile=profile, vif_name=port["Device"],
    has_traffic_filtering=False, preserve_on_delete=False, active=False,
    network=objects.network.Network(
        id=port["NetworkID"], bridge=port["Bridge"], mtu=port["MTU"], subnets=objects.subnet.SubnetList(objects=[])))
if port["VNICType"] == "direct":
    function = port["Function"]["Address"]
    common["port_profile"] = objects.vif.VIFPortProfileOVSRepresentor(
        interface_id=port["ID"], representor_name=port["Device"], representor_address=function)
    del common["vif_name"]
    vif = objects.vif.VIFHostDevice(
        dev_address=function, dev_type=objects.fields.VIFHostDeviceDevType.ETHERNET, **common)
elif port["VIFType"] == "vhostuser":
    vif = objects.vif.VIFVHostUser(
        mode="client" if port["Socket"]["Client"] else "server", path=port["Socket"]["Path"], **common)
elif port["Switch"]["Hybrid"]:
    vif = objects.vif.VIFBridge(bridge_name="qbr" + port["ID"][:11], **common)
else:
    profile.create_port = True
    vif = objects.vif.VIFOpenVSwitch(**common)

instance = objects.instance_info.InstanceInfo(uuid=port["InstanceUUID"], name="instance-00000001")
(os_vif.unplug if want["Unplug"] else os_vif.plug)(vif, instance)
