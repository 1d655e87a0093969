"""An oslo.messaging server: server.py URL HOST. Serves the topic conductor until its input ends."""
import json
import sys
import time

from oslo_config import cfg
import oslo_messaging as om

import peer_errors

url, host = sys.argv[1:]


class Endpoint:
    target = om.Target(version="3.0")

    def echo(self, ctxt, value):
        return value

    def context(self, ctxt):
        return ctxt

    def not_there(self, ctxt):
        raise peer_errors.NotThere("x is not there", code=404)

    def slow(self, ctxt):
        time.sleep(3)
        return "done"

    def hear(self, ctxt, **args):
        print(json.dumps({"heard": args}), flush=True)


om.set_transport_defaults(control_exchange="nova")
cfg.CONF([], project="interop")
transport = om.get_rpc_transport(cfg.CONF, url)
server = om.get_rpc_server(transport, om.Target(topic="conductor", server=host), [Endpoint()], executor="threading")
server.start()
print(json.dumps({"ready": True}), flush=True)
sys.stdin.read()
server.stop()
server.wait()
