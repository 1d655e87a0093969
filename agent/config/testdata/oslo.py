"""What oslo.config makes of texts, as JSON.

    oslo.py parse     of each text in the JSON list on standard input: its
                      assignments, or null
    oslo.py convert   of each [type, text] there: its value, or null
"""
import io
import json
import sys

from oslo_config import cfg
from oslo_config import types


def parse(content):
    sections = {}
    parser = cfg.ConfigParser('text', sections)
    lines = io.StringIO(content, newline=None).readlines()  # as a text file's
    try:
        cfg.iniparser.BaseParser.parse(parser, lines)
    except cfg.iniparser.ParseError:
        return None
    return [[s, n, v] for s in sections for n in sections[s] for v in sections[s][n]]


KINDS = {
    'bool': types.Boolean(), 'int': types.Integer(), 'float': types.Float(),
    'list': types.List(), 'dict': types.Dict(), 'port': types.Port(),
    'ip': types.IPAddress(), 'host': types.HostAddress(), 'domain': types.HostDomain(),
    'uri': types.URI(),
}


def convert(kind, content):
    try:
        return json.dumps(KINDS[kind](content), sort_keys=True)
    except ValueError:
        return None


if sys.argv[1] == 'parse':
    out = [parse(t) for t in json.load(sys.stdin)]
else:
    out = [convert(k, t) for k, t in json.load(sys.stdin)]
json.dump(out, sys.stdout)
