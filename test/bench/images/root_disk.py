"""What Nova's own node does for the root disk of a boot, timed from inside.

Usage: root_disk.py GLANCE INSTANCES IMAGE SIZE BOOTS

Boots so many guests of the image, one after the other, as far as their root
disks go, through the same calls that the libvirt driver makes, and prints the
seconds that each took and the process's peak of resident memory in bytes.
"""
from nova import monkey_patch  # noqa: F401 as nova-compute does, first of all

import json
import logging
import os
import sys
import time
import types
import uuid

from nova import context
from nova import objects
from nova.conf import CONF
from nova.virt.libvirt import imagebackend
from nova.virt.libvirt import imagecache
from nova.virt.libvirt import utils as libvirt_utils


def peak():
    with open('/proc/self/status') as f:
        for line in f:
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) << 10


def boot(ctxt, image, size):
    instance = types.SimpleNamespace(uuid=str(uuid.uuid4()), name='bench')
    os.mkdir(libvirt_utils.get_instance_path(instance))
    start = time.monotonic()
    disk = imagebackend.Backend(use_cow=True).by_name(instance, 'disk')
    disk.cache(fetch_func=libvirt_utils.fetch_image, context=ctxt,
               filename=imagecache.get_cache_fname(image), size=size,
               image_id=image, trusted_certs=None)
    return time.monotonic() - start


def main(glance, instances, image, size, boots):
    logging.disable(logging.CRITICAL)
    CONF([], project='nova', default_config_files=[])
    CONF.set_override('instances_path', instances)
    CONF.set_override('api_servers', [glance], group='glance')
    CONF.set_override('lock_path', instances, group='oslo_concurrency')
    objects.register_all()
    ctxt = context.RequestContext('user', 'project', auth_token='token')
    took = [boot(ctxt, image, int(size)) for _ in range(int(boots))]
    print(json.dumps({'boots': took, 'peak': peak()}))


main(*sys.argv[1:])
