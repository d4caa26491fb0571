"""Resources of the container that trains: CPU and memory on one side, accelerators on the other."""

import re
from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.quantity import amount
from trainingjob_client.tfjob.reader import Reader

#: nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-1g.5gb, gpu.intel.com/i915 and the like.
_ACCELERATOR = re.compile(r"gpu|/mig-|gaudi|neuron|npu")


def read_resources(resources: Reader) -> tuple[dict[str, Any], "dict[str, Any] | None", dict[str, Any]]:
    """Return (spec.resources, accelerator of the node pool, what the container keeps besides)."""
    limits, requests = _amounts(resources, "limits"), _amounts(resources, "requests")
    accelerator = None
    for name in [name for name in {**limits, **requests} if "/" in name and _ACCELERATOR.search(name)]:
        count = amount(limits.get(name, requests.get(name)))
        if count == 0:
            resources.note(Level.SAME, f"limits.{name}", 0, "no accelerator")
        elif accelerator is None and count == int(count or 0) and 1 <= int(count or 0) <= accepted.MAX_ACCELERATORS:
            accelerator = {"resource": name, "count": int(count or 0)}
        else:
            continue  # stays an ordinary resource
        limits.pop(name, None)
        requests.pop(name, None)
    out = {"requests": requests, "limits": limits}
    return {part: amounts for part, amounts in out.items() if amounts}, accelerator, resources.rest()


def _amounts(resources: Reader, part: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in resources.mapping(part).items():
        found = accepted.quantity(value)
        fits = accepted.resource_name(name) and ("/" not in name or accepted.extended_resource(name))
        if found is None or not fits:
            resources.note(Level.LOST, f"{part}.{name}", value, "is no amount of a resource that a pod can have")
        elif len(out) == accepted.MAX_RESOURCES:
            resources.note(Level.LOST, f"{part}.{name}", value, f"a TrainingJob takes {accepted.MAX_RESOURCES}")
        else:
            out[name] = found
    return out


def larger(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return resources that are enough for two containers, each given as {requests, limits} in a pod's form."""
    needs, bounds = (_effective(first), _effective(second)), (_part(first, "limits"), _part(second, "limits"))
    requests = {name: _most(needs[0].get(name), needs[1].get(name)) for name in {**needs[0], **needs[1]}}
    # A limit that only one of them has would bind the other; a device plugin's resource is limit and request in one.
    limits = {
        name: _most(bounds[0].get(name), bounds[1].get(name))
        for name in {**bounds[0], **bounds[1]}
        if "/" in name or all(name in bound for bound in bounds)
    }
    requests = {name: value for name, value in requests.items() if "/" not in name}
    rest = {name: value for name, value in first.items() if name not in ("requests", "limits")}
    return rest | {part: values for part, values in (("requests", requests), ("limits", limits)) if values}


def _effective(resources: dict[str, Any]) -> dict[str, Any]:
    return {**_part(resources, "limits"), **_part(resources, "requests")}


def _part(resources: dict[str, Any], part: str) -> dict[str, Any]:
    found = resources.get(part)
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}


def _most(first: Any, second: Any) -> Any:
    one, other = amount(first), amount(second)
    return second if one is None or (other is not None and other > one) else first
