#!/usr/bin/python3
"""Ask Nova where it would place guests: generate.py > placements.jsonl

Needs Nova 26 (Debian: python3-nova). Hosts and guests are random but the same at every run; the answers are those of
Nova's own numa_fit_instance_to_host and numa_usage_from_instance_numa.
"""
import json
import logging
import random

from nova import exception, objects
import nova.conf
from nova.objects import fields
from nova.virt import hardware

CONF = nova.conf.CONF
objects.register_all()
logging.disable(logging.CRITICAL)
CONF([], project="nova", default_config_files=[])


def numbers(s):
    return sorted(s)


def host(r):
    threads = r.choice([1, 2, 2])
    cells, first = [], 0
    networks = r.random() < 0.3
    for i in range(r.choice([1, 2, 2, 4])):
        n = r.choice([4, 8])
        cpus = list(range(first, first + n))
        first += n
        shared, dedicated = (cpus[:n // 2], cpus[n // 2:]) if r.random() < 0.7 else (cpus, cpus)
        siblings = [set(cpus[k:k + threads]) for k in range(0, n, threads)]
        memory = r.choice([1024, 2048, 4096])
        large = r.choice([0, 128, 256])
        pages = [(4, (memory - 2 * large) << 8, 0, 0), (2048, large, r.choice([0, 0, 16]), r.choice([0, 0, 32]))]
        cells.append(dict(
            id=i, shared=shared, pinnable=dedicated, siblings=[numbers(s) for s in siblings],
            pinned=numbers(r.sample(dedicated, r.choice([0, 0, 1, 2]))), memory=memory, memory_used=r.choice([0, 0, 256, 512]),
            cpus_used=r.choice([0, 0, 2, 5]), pages=pages,
            physnets=r.sample(["a", "b"], r.randint(0, 2)) if networks else [], tunneled=networks and r.random() < 0.5))
    return cells


def guest(r):
    policy = r.choice([None, "shared", "dedicated", "dedicated", "dedicated", "mixed"])
    threads = r.choice([None, "prefer", "isolate", "require"]) if policy in ("dedicated", "mixed") else None
    cells, first = [], 0
    size = r.choice([0, 0, 0, -1, -2, -3, 4, 2048, 1048576])
    for i in range(r.choice([1, 1, 2, 2, 3])):
        n = r.choice([1, 2, 3, 4])
        cpus = list(range(first, first + n))
        first += n
        split = {"dedicated": 0, "mixed": r.randint(0, n - 1)}.get(policy, n)
        cells.append(dict(id=i, shared=cpus[:split], dedicated=cpus[split:], memory=r.choice([64, 128, 256, 512, 1024, 1025]), page=size, policy=policy, threads=threads))
    isolates = policy == "dedicated" and r.random() < 0.3
    limits = r.choice([None, None, dict(cpu=r.choice([1.0, 4.0, 16.0]), ram=r.choice([1.0, 1.5]), physnets=r.choice([[], ["a"], ["a", "b"]]), tunneled=r.random() < 0.3)])
    return dict(cells=cells, isolates=isolates, limits=limits, pack=r.random() < 0.3)


def nova_host(cells):
    return objects.NUMATopology(cells=[objects.NUMACell(
        id=c["id"], cpuset=set(c["shared"]), pcpuset=set(c["pinnable"]), socket=0, memory=c["memory"], cpu_usage=c["cpus_used"],
        memory_usage=c["memory_used"], pinned_cpus=set(c["pinned"]), siblings=[set(s) for s in c["siblings"]],
        mempages=[objects.NUMAPagesTopology(size_kb=s, total=t, used=u, reserved=v) for s, t, u, v in c["pages"]],
        network_metadata=objects.NetworkMetadata(physnets=set(c["physnets"]), tunneled=c["tunneled"])) for c in cells])


def nova_guest(g):
    cells = []
    for c in g["cells"]:
        cells.append(objects.InstanceNUMACell(
            id=c["id"], cpuset=set(c["shared"]), pcpuset=set(c["dedicated"]), memory=c["memory"], pagesize=c["page"] or None,
            cpu_policy=c["policy"], cpu_thread_policy=c["threads"], cpu_pinning={}, cpuset_reserved=None))
    return objects.InstanceNUMATopology(cells=cells, emulator_threads_policy="isolate" if g["isolates"] else None)


def answer(cells, g):
    limits = None
    if g["limits"]:
        limits = objects.NUMATopologyLimits(
            cpu_allocation_ratio=g["limits"]["cpu"], ram_allocation_ratio=g["limits"]["ram"],
            network_metadata=objects.NetworkMetadata(physnets=set(g["limits"]["physnets"]), tunneled=g["limits"]["tunneled"]))
    CONF.set_override("packing_host_numa_cells_allocation_strategy", g["pack"], "compute")
    topology = nova_host(cells)
    fitted = hardware.numa_fit_instance_to_host(topology, nova_guest(g), limits=limits)
    if fitted is None:
        return None
    used = hardware.numa_usage_from_instance_numa(topology, fitted)
    return dict(
        cells=[dict(id=c.id, page=c.pagesize or 0, pinning=sorted((c.cpu_pinning or {}).items()), reserved=numbers(c.cpuset_reserved or ())) for c in fitted.cells],
        used=[dict(pinned=numbers(c.pinned_cpus), memory=c.memory_usage, cpus=c.cpu_usage, pages=[p.used for p in c.mempages]) for c in used.cells])


def main():
    r, kept = random.Random(26), {True: 0, False: 0}
    while min(kept.values()) < 150:
        cells, g = host(r), guest(r)
        try:
            a = answer(cells, g)
        except (exception.CPUPinningInvalid, exception.CPUPinningUnknown):
            continue  # Nova placed the guest where it cannot be: on threads that somebody has, or of another cell
        if kept[a is None] >= 150:
            continue
        kept[a is None] += 1
        print(json.dumps(dict(host=cells, guest=g, nova=a), separators=(",", ":")))


main()
