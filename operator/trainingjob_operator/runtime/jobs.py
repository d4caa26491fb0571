"""The TrainingJobs as last seen: the cache that reconciler and intake read.

kopf's watch and our own slow re-list both feed it, and so do the answers to our own writes, so that a reconcile sees
what the last one did. It says which changes are worth a reconcile: metrics that the intake wrote are not.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from trainingjob_operator.core.observe import JobFact, observe_job
from trainingjob_operator.core.sections import METRICS
from trainingjob_operator.runtime.packed import pack, slim, unpack

#: What of status.training concerns the reconciler: that a generation formed, or ended, and where it went on.
_TRAINING_FACTS = ("incarnation", "generation", "state", "resumedStep", "final")
#: What of a status is the intake's, or only shown.
_NO_NEWS = (*METRICS, "display")
#: So many facts are kept: a fact is as large as its object, and is read from it in a millisecond.
MAX_FACTS = 500
#: So many jobs that are gone are remembered, against answers and events that come late.
MAX_GONE = 10_000


class JobCache:
    """Jobs by UID and by name. `on_change(uid)` is called when a job may need a reconcile, or is gone;
    `on_seen(before, after)` for every later version of a job.

    The history in a job's status is kept packed, see packed.py.
    """

    def __init__(
        self,
        on_change: Callable[[str], None],
        on_seen: Callable[[Mapping[str, Any], Mapping[str, Any]], None] = lambda _before, _after: None,
    ) -> None:
        self._on_change = on_change
        self._on_seen = on_seen
        self._bodies: dict[str, Mapping[str, Any]] = {}
        self._facts: OrderedDict[str, JobFact] = OrderedDict()
        self._names: dict[tuple[str, str], str] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._bodies)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._bodies))

    def body(self, uid: str) -> Mapping[str, Any] | None:
        """Return the object with this UID."""
        return self._bodies.get(uid)

    def fact(self, uid: str) -> JobFact | None:
        """Return the fact of the job with this UID; read from the object when first asked for."""
        if uid not in self._bodies:
            return None
        if uid not in self._facts:
            self._facts[uid] = observe_job(self._bodies[uid])
            if len(self._facts) > MAX_FACTS:
                self._facts.popitem(last=False)
        return self._facts[uid]

    def find(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return the object with this name."""
        uid = self._names.get((namespace, name))
        return self._bodies.get(uid) if uid is not None else None

    def put(self, body: Mapping[str, Any], *, quiet: bool = False) -> None:
        """Take an object; one that is not later than what is known is dropped. `quiet` is for answers to own writes.

        An answer to a write may come after the watch told that the job is gone: a UID never comes back.
        """
        metadata = body.get("metadata", {})
        uid = metadata.get("uid", "")
        known = self._bodies.get(uid)
        if not uid or uid in self._gone or (known is not None and not _is_later(body, known)):
            return
        self._bodies[uid] = pack(slim(unpack(body)))
        self._facts.pop(uid, None)
        key = (metadata.get("namespace", ""), metadata.get("name", ""))
        replaced = self._names.get(key)
        self._names[key] = uid
        if replaced is not None and replaced != uid:
            self._forget(replaced)
        if known is not None:
            self._on_seen(known, body)
        if not quiet and (known is None or _essence(known) != _essence(body)):
            self._on_change(uid)

    def remove(self, uid: str) -> None:
        """Take note that the job with this UID is gone."""
        if uid in self._bodies:
            self._forget(uid)

    def replace_all(self, bodies: Iterable[Mapping[str, Any]], version: int) -> None:
        """Take a complete list of the time `version`: jobs that are not in it are gone, but for younger ones."""
        listed = {body["metadata"]["uid"]: body for body in bodies}
        absent = [uid for uid, known in self._bodies.items() if uid not in listed and _version(known) <= version]
        for uid in absent:
            self._forget(uid)
        for body in listed.values():
            self.put(body)

    def _forget(self, uid: str) -> None:
        body = self._bodies.pop(uid, None)
        self._facts.pop(uid, None)
        self._gone[uid] = None
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)
        if body is not None:
            metadata = body.get("metadata", {})
            key = (metadata.get("namespace", ""), metadata.get("name", ""))
            if self._names.get(key) == uid:
                del self._names[key]
        self._on_change(uid)


def parse_version(text: str) -> int:
    """Return a resourceVersion as a number; Kubernetes promises since 1.35 that they order so."""
    return int(text) if text.isdecimal() else 0


def _is_later(body: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether it is another version than the known one and no older one: the watch tells our own writes again."""
    if body.get("metadata", {}).get("resourceVersion") == known.get("metadata", {}).get("resourceVersion"):
        return False
    return _version(body) >= _version(known)


def _version(body: Mapping[str, Any]) -> int:
    return parse_version(str(body.get("metadata", {}).get("resourceVersion", "0")))


def _essence(body: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata, status = body.get("metadata", {}), body.get("status") or {}
    training = status.get("training") or {}
    return (
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        {name: value for name, value in status.items() if name not in _NO_NEWS},
        tuple(training.get(name) for name in _TRAINING_FACTS),
        _gang_facts(status.get("gang") or {}),
    )


def _gang_facts(gang: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of status.gang concerns the reconciler: not how far it is, nor how long it stalls."""
    ledger = {name: value for name, value in (gang.get("ledger") or {}).items() if name != "step"}
    return {**gang, "ledger": ledger, "stalledSeconds": bool(gang.get("stalledSeconds"))}
