"""A TFJob's Evaluator: a pod beside the gang that reads its checkpoints."""

from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.draft import Draft
from trainingjob_client.tfjob.notes import Level, Notes
from trainingjob_client.tfjob.pod import split_containers
from trainingjob_client.tfjob.reader import Reader
from trainingjob_client.tfjob.resources import read_resources
from trainingjob_client.tfjob.roles import MISSING, Gang, differences
from trainingjob_client.tfjob.scheduling import FIELDS, read_scheduling


def read_evaluator(
    gang: Gang, template: dict[str, Any], draft: Draft, notes: Notes, checkpoint: "str | None"
) -> None:
    """Take the Evaluator's template: its resources and where it runs. In everything else it is as the members.

    Without the folder of the checkpoints there can be no evaluator, and a TFJob does not name it.
    """
    path = gang.evaluator_path
    problem = _unusable(checkpoint, draft)
    if problem:
        notes.add(Level.TODO, path, checkpoint, f"left out: {problem}")
        return
    draft.checkpoint = {"path": checkpoint}
    spec = Reader(template.get("spec"), f"{path}.template.spec", notes)
    # What is to say of the evaluator's containers is said where they are compared with the members'.
    main, _ = split_containers(Reader(template.get("spec"), spec.path, Notes()))
    wanted = Reader(main.take("resources"), main.at("resources"), notes)
    resources, accelerator, rest = read_resources(wanted)
    pool: dict[str, Any] = {"accelerator": accelerator} if accelerator else {}
    besides: dict[str, Any] = {}
    read_scheduling(spec, pool, besides)
    for reader, lost in ((spec, besides), (wanted, rest)):
        for key, value in lost.items():
            reader.note(Level.LOST, key, value, "spec.evaluator has no field for it")
    draft.evaluator = {}
    if resources and resources != draft.resources:
        draft.evaluator["resources"] = resources
    if pool != draft.node_pool:
        draft.evaluator["nodePool"] = pool
    for where, _own, other in differences(_bare(gang.common), _bare(template)):
        if other is MISSING:
            notes.add(Level.CHANGED, f"{path}.template.{where}", None, "the members have it, and the evaluator too")
        else:
            advice = "the evaluator has its own resources and node pool; in the rest it is as the members"
            notes.add(Level.LOST, f"{path}.template.{where}", other, advice)


def _unusable(checkpoint: "str | None", draft: Draft) -> str:
    """Return why checkpoints can't lie there, and what to do; empty when they can."""
    again = "Convert again with --checkpoint PATH, a folder on a volume that all members see, or gs:// or s3://"
    if not accepted.data_path(checkpoint):
        return f"an evaluator reads checkpoints, and a TFJob does not say where they are. {again}"
    if not str(checkpoint).startswith("/") or draft.trainer.get("volumeMounts"):
        return ""
    inside = [volume for volume in draft.volumes if f"{checkpoint}/".startswith(f"{volume['mountPath']}/")]
    if not inside:
        return f"no volume of the TFJob is mounted there. {again}"
    deepest = max(inside, key=lambda volume: len(volume["mountPath"]))
    return f"the volume at {deepest['mountPath']} is read-only. {again}" if deepest.get("readOnly") else ""


def _bare(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template without what an evaluator has of its own."""
    spec = template.get("spec")
    if not isinstance(spec, dict):
        return template
    kept = {key: value for key, value in spec.items() if key not in FIELDS}
    if isinstance(kept.get("containers"), list):
        kept["containers"] = [
            {key: value for key, value in item.items() if key != "resources"} if isinstance(item, dict) else item
            for item in kept["containers"]
        ]
    return {**template, "spec": kept}
