"""Where pods run: from a pod's fields to a node pool's, and to podTemplate for what a node pool has no field for."""

from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.metadata import with_own_labels
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.reader import Reader

FIELDS = (
    "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName", "schedulerName",
    "runtimeClassName",
)  # fmt: skip
_SPREAD = {"topologyKey", "maxSkew", "whenUnsatisfiable", "labelSelector"}


def read_scheduling(spec: Reader, pool: dict[str, Any], pod: dict[str, Any]) -> None:
    """Take what decides where pods run from a pod's spec into a node pool, or into podTemplate.spec."""
    if selector := spec.mapping("nodeSelector"):
        fits = len(selector) <= accepted.MAX_SELECTOR and all(map(accepted.label_value, selector.values()))
        (pool if fits else pod)["nodeSelector"] = selector
    if tolerations := _objects(spec, "tolerations"):
        fits = len(tolerations) <= accepted.MAX_TOLERATIONS and all(map(_toleration, tolerations))
        (pool if fits else pod)["tolerations"] = tolerations
    if affinity := spec.mapping("affinity"):
        pool["affinity"] = with_own_labels(affinity)
    if constraints := _objects(spec, "topologySpreadConstraints"):
        _spread(spec, constraints, pool, pod)
    for key in ("priorityClassName", "schedulerName", "runtimeClassName"):
        if (name := spec.text(key)) is not None:
            (pool if accepted.dns_name(name) else pod)[key] = name


def _objects(spec: Reader, key: str) -> list[dict[str, Any]]:
    items = spec.items(key)
    if accepted.objects(items):
        return [{name: value for name, value in item.items() if value is not None} for item in items]
    spec.note(Level.LOST, key, items, "is no list of objects, and is left out")
    return []


def _toleration(item: dict[str, Any]) -> bool:
    """Whether a node pool takes a toleration; it refuses those that an API server refuses too."""
    operator, effect, seconds = item.get("operator", "Equal"), item.get("effect"), item.get("tolerationSeconds")
    if item.keys() - {"key", "operator", "value", "effect", "tolerationSeconds"}:
        return False
    texts = all(accepted.short_text(item.get(key, "")) for key in ("key", "value"))
    counts = seconds is None or (type(seconds) is int and seconds >= 0 and effect == "NoExecute")
    means = not item.get("value") if operator == "Exists" else operator == "Equal" and bool(item.get("key"))
    return texts and counts and means and effect in (None, "NoSchedule", "PreferNoSchedule", "NoExecute")


def _spread(spec: Reader, constraints: list[dict[str, Any]], pool: dict[str, Any], pod: dict[str, Any]) -> None:
    plain = len(constraints) <= accepted.MAX_SPREAD and all(map(_plain_spread, constraints))
    pairs = {(item["topologyKey"], item["whenUnsatisfiable"]) for item in constraints} if plain else set()
    if len(pairs) != len(constraints):
        pod["topologySpreadConstraints"] = with_own_labels(constraints)
        return
    pool["topologySpread"] = [
        {key: value for key, value in item.items() if key != "labelSelector"} for item in constraints
    ]
    for index, item in enumerate(constraints):
        if "labelSelector" in item:
            spec.note(
                Level.CHANGED, f"topologySpreadConstraints[{index}].labelSelector", item["labelSelector"],
                "spec.nodePool.topologySpread counts this job's members",
            )  # fmt: skip


def _plain_spread(item: dict[str, Any]) -> bool:
    skew = item.get("maxSkew", 1)
    return (
        not item.keys() - _SPREAD
        and accepted.short_text(item.get("topologyKey"))
        and type(skew) is int
        and 1 <= skew <= 1000
        and item.get("whenUnsatisfiable") in ("ScheduleAnyway", "DoNotSchedule")
    )
