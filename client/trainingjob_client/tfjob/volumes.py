"""Volumes: into the short form where it says the same, into podTemplate where it does not."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.draft import Draft
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.reader import Reader

#: Two mounts of one such volume see the same files; two volumes in short form would not.
_ONE_MOUNT = ("emptyDir", "csi", "ephemeral")
_LAUNCHERS = "/var/run/trainingjob"
Fields = dict[str, Any]


def read_volumes(spec: Reader, main: Reader, others: list[Fields], draft: Draft) -> None:
    """Take a pod's volumes, and where the trainer's container mounts them; `others` are its other containers.

    A volume goes into the short form when the trainer alone uses it and the short form says all of it. Otherwise it
    keeps its name, or gets another where the operator's own volumes have that name, in `others` too.
    """
    mounts = list(_mounts(main))
    shared = set(_names_used(others)) | {str(item.get("name")) for item in _objects(main, "volumeDevices", draft)}
    paths: set[str] = set()
    for volume in _volumes(spec):
        name = str(volume.get("name"))
        own = [mount for mount in mounts if mount.get("name") == name]
        short = _short(volume, own) if own and name not in shared else None
        if short is not None and len(draft.volumes) + len(short) <= accepted.MAX_VOLUMES:
            draft.volumes.extend(short)
            mounts = [mount for mount in mounts if mount.get("name") != name]
            paths.update(item["mountPath"] for item in short)
        else:
            draft.pod.setdefault("volumes", []).append(_renamed(volume))
    kept = [_renamed(mount) for mount in mounts]
    if kept:
        draft.trainer["volumeMounts"] = kept
    for container in others:
        for key in ("volumeMounts", "volumeDevices"):
            if accepted.objects(container.get(key)):
                container[key] = [_renamed(item) for item in container[key]]


def _volumes(spec: Reader) -> Iterable[Fields]:
    for index, volume in spec.numbered("volumes"):
        if isinstance(volume, dict) and isinstance(volume.get("name"), str):
            yield {key: value for key, value in volume.items() if value is not None}
        else:
            spec.note(Level.LOST, f"volumes[{index}]", volume, "is no volume with a name, and is left out")


def _mounts(main: Reader) -> Iterable[Fields]:
    seen: set[str] = set()
    for index, mount in main.numbered("volumeMounts"):
        path = mount.get("mountPath") if isinstance(mount, dict) else None
        at = f"volumeMounts[{index}]"
        if not isinstance(path, str) or not isinstance(mount.get("name"), str):
            main.note(Level.LOST, at, mount, "has no name and mountPath, and is left out")
            continue
        path = path.rstrip("/") or "/"
        if path in seen:
            main.note(Level.LOST, at, mount, "another volume is mounted there already")
        elif f"{path}/".startswith(f"{_LAUNCHERS}/"):
            main.note(Level.LOST, at, mount, f"{_LAUNCHERS} is the launcher's: mount it elsewhere")
        else:
            seen.add(path)
            yield {**{key: value for key, value in mount.items() if value is not None}, "mountPath": path}


def _objects(main: Reader, key: str, draft: Draft) -> list[Fields]:
    items = main.items(key)
    if not accepted.objects(items):
        main.note(Level.LOST, key, items, "is no list of objects, and is left out")
        return []
    if items:
        draft.trainer[key] = [_renamed(item) for item in items]
    return items


def _names_used(containers: Iterable[Fields]) -> Iterable[str]:
    for container in containers:
        for key in ("volumeMounts", "volumeDevices"):
            if accepted.objects(container.get(key)):
                yield from (str(item.get("name")) for item in container[key])


def _renamed(item: Fields) -> Fields:
    """Return a volume, or its mount, under a name that none of the operator's own volumes has."""
    name = item.get("name")
    taken = isinstance(name, str) and accepted.OWN_VOLUMES.match(name)
    return {**item, "name": f"tfjob-{name}"} if taken else item


def _short(volume: Fields, mounts: list[Fields]) -> "list[Fields] | None":
    kinds = [key for key in volume if key != "name"]
    if len(kinds) != 1 or kinds[0] not in _SOURCES or not isinstance(volume[kinds[0]], dict):
        return None
    kind = kinds[0]
    if kind in _ONE_MOUNT and len(mounts) > 1:
        return None
    given = {key: value for key, value in volume[kind].items() if value is not None}
    # What only this form knows: a claim or an export that is read-only as a whole.
    read_only = kind in ("persistentVolumeClaim", "nfs") and given.pop("readOnly", False)
    source = _SOURCES[kind](given)
    if source is None or read_only not in (True, False):
        return None
    out = []
    for mount in mounts:
        if read_only and mount.get("readOnly") is False:
            return None  # two answers, of which the short form has room for one
        read = mount.get("readOnly", False) or read_only
        sub_path = mount.get("subPath", "")
        plain = not mount.keys() - {"name", "mountPath", "subPath", "readOnly"} and read in (True, False)
        if not plain or not accepted.mount_path(mount["mountPath"]):
            return None
        if sub_path != "" and not accepted.relative_path(sub_path):
            return None
        extras = ({"subPath": sub_path} if sub_path else {}) | (
            {"readOnly": read} if read or "readOnly" in mount else {}
        )
        out.append({"mountPath": mount["mountPath"], **extras, kind: source})
    return out


def _claim(given: Fields) -> "Fields | None":
    return given if given.keys() == {"claimName"} and accepted.dns_name(given["claimName"]) else None


def _empty_dir(given: Fields) -> "Fields | None":
    size = accepted.quantity(given.get("sizeLimit", 0))
    if given.keys() - {"medium", "sizeLimit"} or given.get("medium", "") not in ("", "Memory") or size is None:
        return None
    return {**given, "sizeLimit": size} if "sizeLimit" in given else given


def _keyed(name: str, given: Fields) -> "Fields | None":
    items = given.get("items", [])
    fits = (
        not given.keys() - {name, "items", "optional"}
        and accepted.dns_name(given.get(name))
        and isinstance(given.get("optional", False), bool)
        and accepted.objects(items)
        and len(items) <= accepted.MAX_METADATA
    )
    return given if fits and all(map(_item, items)) else None


def _item(item: Fields) -> bool:
    mode = item.get("mode", 0)
    return (
        not item.keys() - {"key", "path", "mode"}
        and accepted.short_text(item.get("key"))
        and accepted.relative_path(item.get("path"))
        and type(mode) is int
        and 0 <= mode <= 0o777
    )


def _host_path(given: Fields) -> "Fields | None":
    kinds = ("", "Directory", "DirectoryOrCreate", "File", "FileOrCreate")
    fits = not given.keys() - {"path", "type"} and accepted.absolute_path(given.get("path"))
    return given if fits and given.get("type", "") in kinds else None


def _nfs(given: Fields) -> "Fields | None":
    fits = given.keys() == {"server", "path"} and accepted.short_text(given["server"])
    return given if fits and accepted.absolute_path(given["path"]) else None


def _as_it_is(given: Fields) -> "Fields | None":
    return given


_SOURCES: "dict[str, Callable[[Fields], Fields | None]]" = {
    "persistentVolumeClaim": _claim,
    "emptyDir": _empty_dir,
    "configMap": partial(_keyed, "name"),
    "secret": partial(_keyed, "secretName"),
    "hostPath": _host_path,
    "nfs": _nfs,
    "csi": _as_it_is,
    "ephemeral": _as_it_is,
}
