"""What Nova's compute node makes of a configuration, as JSON.

    options.py                    every option it registers
    options.py values ARGUMENT…   their values, for nova-compute's arguments
"""
import json
import sys

from keystoneauth1 import loading
from oslo_config import cfg
from oslo_config import types

import nova.conf
import nova.service  # noqa: F401  registers what the services share
import nova.virt.libvirt.driver  # noqa: F401
from oslo_concurrency import opts as concurrency
from oslo_log import _options as log
from oslo_messaging import opts as messaging
from oslo_service import _options as service
import vif_plug_linux_bridge.linux_bridge as bridge
import vif_plug_ovs.ovs as ovs

conf = nova.conf.CONF


def register(group, opts):
    for opt in opts:
        try:
            conf.register_opt(opt, group=group)
        except cfg.DuplicateOptError:
            pass


for lists in (messaging, concurrency, log):
    for group, opts in lists.list_opts():
        register(group, opts)
register(None, service.service_opts + service.periodic_opts)
register('os_vif_ovs', ovs.OvsPlugin.CONFIG_OPTS)
register('os_vif_linux_bridge', bridge.LinuxBridgePlugin.CONFIG_OPTS)
for group in ('cinder', 'glance', 'keystone', 'neutron', 'placement', 'service_user'):
    register(group, loading.get_auth_common_conf_options())
    register(group, loading.get_session_conf_options())
    for plugin in ('password', 'v3password', 'v3applicationcredential'):
        register(group, loading.get_auth_plugin_conf_options(plugin))


def text(value):
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return ','.join(str(v) for v in value)
    return str(value)


def describe(group, info):
    opt = info['opt']
    kind = opt.type
    item = kind.item_type if isinstance(kind, types.List) else kind
    choices = getattr(item, 'choices', None)
    return {
        'section': group,
        'name': opt.dest,
        'type': type(kind).__name__,
        'multi': opt.multi,
        'default': text(info.get('default', opt.default)),
        'choices': [str(c) for c in choices if c is not None] if choices else None,
        'min': getattr(kind, 'min', None),
        'max': getattr(kind, 'max', None),
        'old': ['%s.%s' % (d.group or group, d.name or opt.dest) for d in opt.deprecated_opts],
        'secret': bool(opt.secret),
    }




def each():
    for info in list(conf._opts.values()):
        yield 'DEFAULT', conf, info
    for name, group in list(conf._groups.items()):
        for info in list(group._opts.values()):
            yield name, conf[name], info


def value(namespace, info):
    try:
        got = namespace[info['opt'].dest]
    except Exception as err:  # whatever is wrong with it
        return {'error': str(err)}
    return {'value': '' if got is None else str(got), 'empty': got in (None, [], '')}


def values(arguments):
    try:
        conf(arguments, project='nova', prog='nova-compute',
             default_config_files=[], default_config_dirs=[])
    except cfg.RequiredOptError:
        pass  # of services that are not asked for here
    return {'%s.%s' % (group, info['opt'].dest): value(namespace, info)
            for group, namespace, info in each()}


if sys.argv[1:2] == ['values']:
    out = values(sys.argv[2:])
else:
    out = [describe(group, info) for group, namespace, info in each()]
json.dump(out, sys.stdout)
