"""A job as the cache keeps it: small, because the cache keeps every job of the cluster.

Its history is packed: 100 points of 10 metrics are 92 KB as Python objects and a tenth of that packed; 10,000
finished jobs would not fit into the operator's memory otherwise. Only who writes the status needs it.

Who owns which field, and what kubectl applied last, is half of a small job, and nobody here reads it. The rest is
built anew by orjson, which shares the names of fields between all documents: json, which kopf reads the watch with,
makes new ones for each.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import orjson

Json = Mapping[str, Any]
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_LEVEL = 1  # a third of the time of the default, for a few percent more bytes


def slim(body: Json) -> Json:
    """Return the object without what nobody reads, with shared names."""
    metadata = {name: value for name, value in (body.get("metadata") or {}).items() if name != "managedFields"}
    if _APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {n: text for n, text in metadata["annotations"].items() if n != _APPLIED}
    shared: Json = orjson.loads(orjson.dumps({**body, "metadata": metadata}))
    return shared


def pack(body: Json) -> Json:
    """Return the object with its history packed; the same object where there is nothing to pack."""
    history = _training(body).get("history")
    if not isinstance(history, list) or not history:
        return body
    return _with_history(body, zlib.compress(orjson.dumps(history), _LEVEL))


def unpack(body: Json) -> Json:
    """Return the object as it was before `pack`."""
    history = _training(body).get("history")
    return _with_history(body, orjson.loads(zlib.decompress(history))) if isinstance(history, bytes) else body


def _training(body: Json) -> Json:
    return (body.get("status") or {}).get("training") or {}


def _with_history(body: Json, history: Any) -> Json:
    return {**body, "status": {**body["status"], "training": {**_training(body), "history": history}}}
