"""Chief, workers and evaluator: which pods a TFJob wants, and the one template that all members of a gang share."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.pod import TENSORFLOW
from trainingjob_client.tfjob.reader import Reader
from trainingjob_client.tfjob.resources import larger

_ROLES = ("Chief", "Master", "Worker", "PS", "Evaluator")
#: What tells items of a pod's lists from each other.
_KEYS = ("name", "mountPath", "containerPort", "key", "ip")
MISSING: Any = object()


@dataclass(frozen=True)
class Gang:
    """What a TFJob trains with."""

    template: Reader
    """Every member's pod template."""
    workers: int
    """Members besides the chief."""
    common: dict[str, Any]
    """The same template, whole."""
    evaluator: "dict[str, Any] | None"
    """The evaluator's pod template."""
    evaluator_path: str


@dataclass(frozen=True)
class _Role:
    path: str
    replicas: int
    template: dict[str, Any]


def read_gang(specs: Reader) -> "Gang | None":
    """Return the gang of tfReplicaSpecs, or None when it can't be one; notes say why."""
    roles = _read(specs)
    if "PS" in roles and roles["PS"].replicas > 0:
        specs.note(
            Level.TODO, "PS", roles["PS"].replicas,
            "MultiWorkerMirroredStrategy has no parameter servers, every worker holds all variables: change the "
            "program from ParameterServerStrategy to MultiWorkerMirroredStrategy, remove PS, and convert again",
        )  # fmt: skip
        return None
    chief, worker = roles.get("Chief") or roles.get("Master"), roles.get("Worker")
    members = [role for role in (chief, worker) if role is not None and role.replicas > 0]
    if not members:
        specs.note(Level.TODO, "Worker", None, "is needed, or Chief: there is nobody to train")
        return None
    first = members[0]
    workers = sum(role.replicas for role in members[1:]) if first is chief else first.replicas - 1
    if workers > accepted.MAX_WORKERS:
        specs.notes.add(
            Level.TODO, f"{members[-1].path}.replicas", members[-1].replicas,
            f"a TrainingJob has at most {accepted.MAX_WORKERS} workers",
        )  # fmt: skip
        return None
    _tell_counts(specs, first, first is chief)
    template = first.template
    if len(members) > 1:
        template = _one_template(specs, first, members[1])
    evaluator = roles.get("Evaluator")
    wanted = evaluator is not None and evaluator.replicas > 0
    return Gang(
        Reader(template, f"{first.path}.template", specs.notes),
        workers,
        template,
        evaluator.template if evaluator is not None and wanted else None,
        evaluator.path if evaluator is not None else "",
    )


def _read(specs: Reader) -> dict[str, _Role]:
    """Return the roles by their names in Kubeflow's spelling; Kubeflow's operator takes any case."""
    found: dict[str, _Role] = {}
    spelling = {role.lower(): role for role in _ROLES}
    for key, value in specs.rest().items():
        role = spelling.get(key.lower())
        if role is None or role in found or (role == "Master" and "Chief" in found):
            what = "is no role of a TFJob" if role is None else "is there twice"
            specs.note(Level.LOST, key, value, what)
            continue
        reader = Reader(value, specs.at(key), specs.notes)
        replicas = reader.number("replicas")
        template = reader.take("template")
        if not isinstance(template, dict):
            reader.note(Level.TODO, "template", template, "is missing: the members' pods are described there")
        _restart_policy(reader, role)
        reader.lose_rest()
        count = 1 if replicas is None else max(replicas, 0)
        found[role] = _Role(reader.path, count, template if isinstance(template, dict) else {})
        if count == 0:
            specs.note(Level.LOST, key, {"replicas": replicas}, "asks for no pod: the role is left out")
    return found


def _restart_policy(role: Reader, called: str) -> None:
    match role.text("restartPolicy"):
        case None:
            pass
        case policy if called == "Evaluator":
            role.note(
                Level.CHANGED, "restartPolicy", policy, "a failed evaluator is replaced until three have failed"
            )
        case "Never":
            advice = (
                "a failed gang restarts, 6 times unless spec.failurePolicy.backoffLimit says otherwise: 0 is never"
            )
            role.note(Level.CHANGED, "restartPolicy", "Never", advice)
        case "ExitCode":
            role.note(
                Level.CHANGED, "restartPolicy", "ExitCode",
                "the whole gang restarts, after errors of the program only once it has made a step; "
                "spec.failurePolicy.rules say which exit codes end the job",
            )  # fmt: skip
        case policy:
            advice = "the whole gang restarts in place, up to spec.failurePolicy.backoffLimit failures"
            role.note(Level.CHANGED, "restartPolicy", policy, advice)


def _tell_counts(specs: Reader, first: _Role, is_chief: bool) -> None:
    at = f"{first.path}.replicas"
    if is_chief and first.replicas > 1:
        specs.notes.add(Level.CHANGED, at, first.replicas, "a gang has one chief")
    elif not is_chief and first.replicas > 1:
        specs.notes.add(
            Level.CHANGED, at, first.replicas,
            f"worker 0 becomes the chief, and TF_CONFIG calls it so; workers beside it: {first.replicas - 1}",
        )  # fmt: skip


def _one_template(specs: Reader, chief: _Role, worker: _Role) -> dict[str, Any]:
    """Return the template for all members: the chief's, with resources that are enough for the workers too."""
    template = copy.deepcopy(chief.template)
    ours, theirs = _trainer(template), _trainer(worker.template)
    if ours.get("resources") != theirs.get("resources"):
        merged = larger(_mapping(ours.get("resources")), _mapping(theirs.get("resources")))
        if merged:
            ours["resources"] = merged
        for role, old in ((chief, _trainer(chief.template)), (worker, theirs)):
            at = f"{role.path}.template.spec.containers[{TENSORFLOW}].resources"
            specs.notes.add(
                Level.CHANGED,
                at,
                old.get("resources"),
                f"all members get what is enough for each: {json.dumps(merged)}",
            )
    for path, own, other in differences(template, worker.template):
        if path.endswith(f"[{TENSORFLOW}].resources") or f"[{TENSORFLOW}].resources." in path:
            continue
        at = f"{worker.path}.template.{path}"
        if other is MISSING:
            specs.notes.add(Level.CHANGED, at, None, "the chief has it, and all members get it")
        else:
            advice = "only the workers had it" if own is MISSING else "all members get the chief's value"
            remedy = "branch on TF_CONFIG's task type in the program, or make it right for all"
            specs.notes.add(Level.LOST, at, other, f"{advice}: {remedy}")
    return template


def _trainer(template: dict[str, Any]) -> dict[str, Any]:
    """Return the container that trains, as it stands in a template; an empty one when there is none."""
    containers = _mapping(template.get("spec")).get("containers")
    found = [item for item in containers if isinstance(item, dict)] if isinstance(containers, list) else []
    return next((item for item in found if item.get("name") == TENSORFLOW), found[0] if found else {})


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def differences(first: Any, second: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, value in the first, value in the second) where two templates differ; `MISSING` is no value."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in {**first, **second}:
            step = f"{path}.{key}" if path else str(key)
            yield from differences(first.get(key, MISSING), second.get(key, MISSING), step)
    elif isinstance(first, list) and isinstance(second, list) and first != second:
        ones, others = _by_key(first), _by_key(second)
        for name in {**ones, **others}:
            yield from differences(ones.get(name, MISSING), others.get(name, MISSING), f"{path}[{name}]")
    elif first != second:
        yield path, first, second


def _by_key(items: list[Any]) -> dict[Any, Any]:
    for key in _KEYS:
        if all(isinstance(item, Mapping) and isinstance(item.get(key), str | int) for item in items):
            found = {item[key]: item for item in items}
            if len(found) == len(items):
                return found
    return dict(enumerate(items))
