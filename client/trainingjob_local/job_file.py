"""The job's file: which TrainingJob of it runs, and the ConfigMaps and Secrets that lie beside it."""

import base64
import binascii
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from trainingjob_local.errors import LocalError
from trainingjob_operator.api import names

#: What the API server adds to `generateName`.
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Companions:
    """ConfigMaps and Secrets by (kind, name): their keys and contents."""

    objects: Mapping[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)

    def get(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        """Return the contents of one, None when the file does not have it."""
        return self.objects.get((kind, name))


@dataclass(frozen=True)
class JobFile:
    """A TrainingJob as a cluster would be given it. `passed_over` names the other objects, which nothing needs.

    `unheeded` are fields that say who runs a job in a cluster, and when. Here a person does, now: they are left out.
    """

    body: dict[str, Any]
    companions: Companions
    passed_over: tuple[str, ...]
    unheeded: tuple[str, ...] = ()


def read_job(text: str, source: str, name: str | None = None, workers: int | None = None) -> JobFile:
    """Read the TrainingJob of a YAML or JSON text; `source` is what errors call it.

    `name` chooses among several; `workers` takes the place of `spec.workers.replicas`.

    Raises:
        LocalError: not YAML, no TrainingJob, several of them without a `name`, or one of another version.
    """
    try:
        found = [one for document in yaml.safe_load_all(text) for one in _objects(document)]
    except yaml.YAMLError as error:
        raise LocalError(f"{source} is not YAML: {error}") from error
    jobs = [one for one in found if one.get("kind") == names.KIND]
    body = dict(_choose(jobs, source, name, found))
    version = body.get("apiVersion")
    if version != names.API_VERSION:
        raise LocalError(f"{source}: apiVersion is {version!r}, this program runs {names.API_VERSION}")
    if not isinstance(body.get("spec"), dict):
        raise LocalError(f"{source}: spec: is required, and must be an object")
    body["spec"], unheeded = _for_this_machine(body["spec"], workers)
    companions = {}
    others = []
    for one in found:
        if one.get("kind") in ("ConfigMap", "Secret") and one.get("apiVersion") == "v1":
            companions[one["kind"], _called(one)] = _contents(one, source)
        elif one.get("kind") != names.KIND:
            others.append(f"{one.get('kind') or 'an object without a kind'} {_called(one)}".strip())
    return JobFile(body, Companions(companions), tuple(others), unheeded)


def _for_this_machine(given: Mapping[str, Any], workers: int | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the spec with so many workers and without what keeps a job waiting for others, and the latter."""
    spec = dict(given)
    if workers is not None:
        spec["workers"] = {**_mapping(spec.get("workers")), "replicas": workers}
        elastic = spec.get("elastic")
        if isinstance(elastic, Mapping) and isinstance(elastic.get("minWorkers"), int):
            spec["elastic"] = {**elastic, "minWorkers": min(elastic["minWorkers"], workers)}
    unheeded = []
    if spec.get("suspend") is True:
        unheeded.append("spec.suspend")
    if isinstance(spec.get("managedBy"), str) and spec["managedBy"] != names.CONTROLLER:
        unheeded.append("spec.managedBy")
    for path in unheeded:
        del spec[path.removeprefix("spec.")]
    return spec, tuple(unheeded)


def as_created(body: Mapping[str, Any], uid: str, created: str, rng: random.Random) -> dict[str, Any]:
    """Return the object as an API server would have stored it: with a name, a namespace, a UID and a time."""
    metadata = dict(_mapping(body.get("metadata")))
    prefix = metadata.get("generateName")
    if "name" not in metadata and isinstance(prefix, str):
        metadata["name"] = prefix + "".join(rng.choices(_SUFFIX, k=5))
    metadata = {
        key: value for key, value in metadata.items() if key not in ("uid", "resourceVersion", "managedFields")
    }
    metadata |= {
        "namespace": metadata.get("namespace") or "default",
        "uid": uid,
        "generation": 1,
        "creationTimestamp": created,
    }
    spec = body["spec"]
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": spec}


def _objects(document: Any) -> Sequence[dict[str, Any]]:
    """Return the objects of a document: those of a List one by one."""
    if not isinstance(document, dict):
        return ()
    items = document.get("items")
    if str(document.get("kind")).endswith("List") and isinstance(items, list):
        return [item for item in items if isinstance(item, dict)]
    return [document]


def _choose(
    jobs: Sequence[dict[str, Any]], source: str, name: str | None, found: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    if not jobs:
        kinds = sorted({str(one.get("kind")) for one in found})
        there = f"; there is: {', '.join(kinds)}" if kinds else ""
        hint = " (kubectl trainingjob convert makes one of a TFJob)" if "TFJob" in kinds else ""
        raise LocalError(f"{source} has no {names.KIND} ({names.API_VERSION}){there}{hint}")
    known = ", ".join(_called(job) for job in jobs)
    if name is not None:
        chosen = [job for job in jobs if _called(job) == name]
        if len(chosen) != 1:
            raise LocalError(f"{source} has {len(chosen)} {names.KIND}s called {name}; there are: {known}")
        return chosen[0]
    if len(jobs) > 1:
        raise LocalError(f"{source} has {len(jobs)} {names.KIND}s: {known}; say which with --name NAME")
    return jobs[0]


def _contents(one: Mapping[str, Any], source: str) -> dict[str, bytes]:
    out: dict[str, bytes] = {}
    called = f"{source}: {one['kind']} {_called(one)}"
    plain = "data" if one["kind"] == "ConfigMap" else "stringData"
    encoded = "binaryData" if one["kind"] == "ConfigMap" else "data"
    for key, value in _mapping(one.get(encoded)).items():
        try:
            out[str(key)] = base64.b64decode(str(value), validate=True)
        except binascii.Error as error:
            raise LocalError(f"{called}: {encoded}.{key} is not base64") from error
    for key, value in _mapping(one.get(plain)).items():
        out[str(key)] = str(value).encode()
    return out


def _called(one: Mapping[str, Any]) -> str:
    metadata = _mapping(one.get("metadata"))
    return str(metadata.get("name") or metadata.get("generateName") or "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
