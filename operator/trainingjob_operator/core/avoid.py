"""Away from silent nodes: where a lost member's next pod rather does not go.

The scheduler takes a dead node for a good one until the node controller has noticed, 50 s by default; a pod that is
bound there never starts. It is a preference and no more: the node may come back, and be the only one with room.
"""

from collections.abc import Iterable, Mapping
from typing import Any

_WEIGHT = 100


def away_from(pod: Mapping[str, Any], nodes: Iterable[str]) -> dict[str, Any]:
    """Return the pod with a preference for other nodes, beside those it has."""
    terms = [
        {
            "weight": _WEIGHT,
            "preference": {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": [node]}]},
        }
        for node in nodes
    ]
    if not terms:
        return dict(pod)
    spec = pod["spec"]
    affinity = spec.get("affinity") or {}
    of_nodes = affinity.get("nodeAffinity") or {}
    name = "preferredDuringSchedulingIgnoredDuringExecution"
    of_nodes = {**of_nodes, name: [*(of_nodes.get(name) or ()), *terms]}
    return {**pod, "spec": {**spec, "affinity": {**affinity, "nodeAffinity": of_nodes}}}
