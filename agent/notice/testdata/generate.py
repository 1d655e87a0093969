#!/usr/bin/python3
"""Have Nova tell what happens to an instance: generate.py > told.json

Needs Nova 26 (Debian: python3-nova). The notifications are made by the functions that its compute node calls; only the
instance is made up. The form is that of recorded.json.
"""
import datetime
import json
from unittest import mock

import nova.conf
from nova import context, exception, objects, rpc
from nova.compute import utils
from nova.network import model
from nova.objects import fields

CONF = nova.conf.CONF
CONF([], project="nova", default_config_files=[])
CONF.set_override("notification_format", "both", "notifications")
CONF.set_override("api_servers", ["http://image.example:9292"], "glance")
objects.register_all()
A = fields.NotificationAction
told = []


class Recorder:
    """In place of oslo.messaging's notifier."""

    def __init__(self, publisher):
        self.publisher = publisher

    def prepare(self, publisher_id):
        return Recorder(publisher_id)

    def is_enabled(self):
        return True

    def _tell(self, priority, ctxt, event_type, payload):
        told.append(dict(event_type=event_type, priority=priority, publisher_id=self.publisher, payload=payload, context={k: ctxt.to_dict()[k] for k in ("project_id", "request_id", "user_id")}))

    def info(self, ctxt, event_type, payload):
        self._tell("INFO", ctxt, event_type, payload)

    def error(self, ctxt, event_type, payload):
        self._tell("ERROR", ctxt, event_type, payload)


def ports():
    ip = model.FixedIP(address="192.0.2.7", version=4)
    subnet = model.Subnet(cidr="192.0.2.0/24", ips=[ip], version=4)
    return model.NetworkInfo([model.VIF(id="aaaaaaaa-0000-4000-8000-000000000001", address="fa:16:3e:00:00:01", devname="tapaaaaaaaa-00", type="ovs",
                                        network=model.Network(id="bbbbbbbb-0000-4000-8000-000000000001", label="net", subnets=[subnet]))])


def instance(c):
    then = datetime.datetime(2026, 11, 21, 17, 0, 0, tzinfo=datetime.timezone.utc)
    flavor = objects.Flavor(id=7, name="small", memory_mb=512, vcpus=2, root_gb=1, ephemeral_gb=0, swap=0, flavorid="s", rxtx_factor=1.0, vcpu_weight=0,
                            disabled=False, is_public=True, extra_specs={}, deleted=False, description=None)
    i = objects.Instance(
        c, id=1, uuid="cccccccc-0000-4000-8000-000000000001", user_id="u" * 32, project_id="p" * 32, display_name="guest", display_description=None,
        reservation_id="r-1", hostname="guest", host="node", node="node", availability_zone="nova", vm_state="active", task_state="rescuing", power_state=1,
        progress=0, image_ref="dddddddd-0000-4000-8000-000000000001", kernel_id="", ramdisk_id="", os_type=None, architecture=None, access_ip_v4=None,
        access_ip_v6=None, metadata={"a": "b"}, system_metadata={"image_disk_format": "qcow2", "image_min_ram": "0"}, instance_type_id=7, flavor=flavor, key_name=None,
        auto_disk_config=False, locked=False, created_at=then, updated_at=then, launched_at=then, terminated_at=None, deleted_at=None, deleted=False, cell_name=None,
        trusted_certs=None, ephemeral_gb=0, root_gb=1, memory_mb=512, vcpus=2)
    i.info_cache = objects.InstanceInfoCache(c, instance_uuid=i.uuid, network_info=ports())
    i.obj_reset_changes(recursive=True)
    return i


def main():
    rpc.NOTIFIER = rpc.LEGACY_NOTIFIER = Recorder(None)
    plain = context.RequestContext("u" * 32, "p" * 32, roles=["member"], request_id="req-11111111-2222-4333-8444-555555555555")
    c, i = plain.elevated(), instance(plain)
    legacy = Recorder("compute.node")
    usage = lambda suffix, **k: utils.notify_about_instance_usage(legacy, k.pop("c", c), i, suffix, **k)
    action = lambda a, p, **k: utils.notify_about_instance_action(k.pop("c", c), i, "node", action=a, phase=p, **k)
    start, end, error = "start", "end", "error"
    with mock.patch("nova.objects.BlockDeviceMappingList.get_by_instance_uuid", return_value=objects.BlockDeviceMappingList(objects=[])):
        for phase in (start, end):
            usage("rescue." + phase, extra_usage_info={"rescue_image_name": "lifebelt"}, network_info=ports())
            utils.notify_about_instance_rescue_action(c, i, "node", "eeeeeeee-0000-4000-8000-000000000001", phase=phase)
        i.task_state = "unrescuing"
        for phase in (start, end):
            usage("unrescue." + phase, network_info=ports())
            action(A.UNRESCUE, phase)
        i.task_state = "rebuilding"
        usage("rebuild.start", extra_usage_info={"image_name": "fresh"})
        utils.notify_about_instance_rebuild(c, i, "node", phase=start, bdms=objects.BlockDeviceMappingList(objects=[]))
        try:
            raise exception.BuildAbortException(instance_uuid=i.uuid, reason="the image is lost")
        except exception.BuildAbortException as e:
            usage("rebuild.error", fault=e)
            utils.notify_about_instance_rebuild(c, i, "node", phase=error, exception=e, bdms=objects.BlockDeviceMappingList(objects=[]))
        i.task_state = None
        usage("rebuild.end", extra_usage_info={"image_name": "fresh"}, network_info=ports())
        utils.notify_about_instance_rebuild(c, i, "node", phase=end, bdms=objects.BlockDeviceMappingList(objects=[]))
        i.task_state = "migrating"
        for old, new in (("live_migration.pre", A.LIVE_MIGRATION_PRE), ("live_migration._post", A.LIVE_MIGRATION_POST),
                         ("live_migration.post.dest", A.LIVE_MIGRATION_POST_DEST), ("live_migration._rollback", A.LIVE_MIGRATION_ROLLBACK),
                         ("live_migration.rollback.dest", A.LIVE_MIGRATION_ROLLBACK_DEST), ("live.migration.abort", A.LIVE_MIGRATION_ABORT),
                         ("live.migration.force.complete", A.LIVE_MIGRATION_FORCE_COMPLETE)):
            usage(old + ".start", c=plain, **({"network_info": ports()} if ".p" in old or "post" in old or "dest" in old else {}))
            action(new, start, c=plain)
    print("[\n" + ",\n".join(json.dumps(line, default=str) for line in told) + "\n]")


main()
