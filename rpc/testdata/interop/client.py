"""An oslo.messaging client: client.py URL HOST. Prints what came of its calls as JSON."""
import json
import sys
import time

from oslo_config import cfg
import oslo_messaging as om

url, host = sys.argv[1:]
om.set_transport_defaults(control_exchange="nova")
cfg.CONF([], project="interop")
transport = om.get_rpc_transport(cfg.CONF, url, allowed_remote_exmods=["peer_errors"])
client = om.get_rpc_client(transport, om.Target(topic="compute", version="6.0"), timeout=20)
one = client.prepare(server=host)
ctxt = {"request_id": "req-1", "user_id": "u", "roles": ["admin"], "odd": {"n": 12345678901234567890}}


def attempt(f):
    try:
        return f()
    except Exception as e:
        return {"class": type(e).__name__, "module": type(e).__module__, "exc_type": getattr(e, "exc_type", None),
                "first": str(e).splitlines()[0], "kwargs": getattr(e, "kwargs", None)}


out = {
    "echo": attempt(lambda: one.call(ctxt, "echo", value={"ü": [1, None, "\"\\\n"]})),
    "ping": attempt(lambda: client.prepare(server=host, namespace="baseapi", version="1.0").call(ctxt, "ping", arg="x")),
    "context": attempt(lambda: one.call(ctxt, "context")),
    "known": attempt(lambda: one.call(ctxt, "not_there")),
    "foreign": attempt(lambda: one.call(ctxt, "foreign")),
    "builtin": attempt(lambda: one.call(ctxt, "not_implemented")),
    "unknown": attempt(lambda: one.call(ctxt, "no_such_method")),
    "version": attempt(lambda: client.prepare(server=host, version="6.99").call(ctxt, "echo", value=1)),
    "argument": attempt(lambda: one.call(ctxt, "echo")),
    "any": attempt(lambda: client.call(ctxt, "echo", value="any")),
}
began = time.time()
out["monitored"] = attempt(lambda: client.prepare(server=host, timeout=30, call_monitor_timeout=2).call(ctxt, "slow"))
out["monitored_long"] = time.time() - began > 3
out["silent"] = attempt(lambda: client.prepare(server=host, timeout=1).call(ctxt, "slow"))
one.cast(ctxt, "hear", n=1)
client.prepare(fanout=True).cast(ctxt, "hear", n=2)
print(json.dumps(out))
