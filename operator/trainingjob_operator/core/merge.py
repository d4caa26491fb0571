"""Strategic merge of a job's pod template over the pod that the operator builds.

The rules are those of `kubectl patch --type strategic` for the lists that matter in a pod: by name where a list has
names, by path for mounts, added for tolerations; other lists are replaced, and null removes a field.
"""

from collections.abc import Mapping
from typing import Any

#: List field -> key of its items. A list that is not named here is replaced.
MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}
ADDED_LISTS = frozenset({"tolerations"})


def merge(base: Any, patch: Any, field: str = "") -> Any:
    """Return `patch` merged over `base`; neither is changed. `field` is the name under which they stand."""
    if isinstance(patch, Mapping):
        base = base if isinstance(base, Mapping) else {}
        merged = {name: value for name, value in base.items() if not (name in patch and patch[name] is None)}
        for name, value in patch.items():
            if value is not None:
                merged[name] = merge(base.get(name), value, name)
        return merged
    if isinstance(patch, list):
        base = base if isinstance(base, list) else []
        if field in ADDED_LISTS:
            return [*base, *(item for item in patch if item not in base)]
        key = MERGE_KEYS.get(field)
        if key is not None and _has_keys(base, key) and _has_keys(patch, key):
            return _merge_list(base, patch, key)
    # What is no list of named objects replaces; if that makes no pod, the API server says so.
    return patch


def _has_keys(items: list[Any], key: str) -> bool:
    return all(isinstance(item, Mapping) and isinstance(item.get(key), str | int) for item in items)


def _merge_list(base: list[Any], patch: list[Any], key: str) -> list[Any]:
    patches = {item[key]: item for item in patch}
    known = {item[key] for item in base}
    merged = [merge(item, patches[item[key]]) if item[key] in patches else item for item in base]
    return [*merged, *(merge({}, item) for name, item in patches.items() if name not in known)]
