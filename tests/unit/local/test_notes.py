"""What means nothing here is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.local.runs import job
from trainingjob_local.job_file import Companions, JobFile
from trainingjob_local.mounts import Mount, Mounts
from trainingjob_local.notes import notes_before, notes_on_paths
from trainingjob_local.platform import local_platform
from trainingjob_local.python import Python
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import parse_spec

PYTHON = Python("/p", (3, 11), "2.21")


def spec(text: str = "pass", **given: Any) -> TrainingJobSpec:
    parsed, problems = parse_spec(job(text, **given)["spec"])
    assert parsed is not None, problems
    return parsed


def told(given: TrainingJobSpec, python: Python = PYTHON, passed_over: tuple[str, ...] = ()) -> list[str]:
    raw = given.model_dump(by_alias=True, exclude_none=True)
    return list(notes_before(JobFile({}, Companions(), passed_over), given, local_platform(raw), python))


def test_a_plain_job_needs_no_words() -> None:
    assert told(spec(resources={"limits": {"memory": "1Gi"}})) == []


def test_what_is_not_used_is_named_with_what_is() -> None:
    [image] = told(spec(image="my/image:1"))
    assert image == "spec.image my/image:1 is not used: the members run with /p (Python 3.11, TensorFlow 2.21)"
    [gpus] = told(spec(nodePool={"name": "a100", "accelerator": {"resource": "nvidia.com/gpu", "count": 8}}))
    assert gpus.startswith("spec.nodePool: 8 nvidia.com/gpu a member is not asked for")
    [variables] = told(spec(program={"envFrom": [{"secretRef": {"name": "keys"}}]}))
    assert "Secret keys is not in the job's file: export the variables" in variables
    [bare] = told(spec(), Python("/p", (3, 11), None))
    assert "/p has no TensorFlow" in bare
    whose = JobFile({}, Companions(), (), ("spec.suspend", "spec.managedBy"))
    assert list(notes_before(whose, spec(), local_platform({}), PYTHON)) == [
        "spec.suspend is for a cluster: the job runs here, now",
        "spec.managedBy is for a cluster: the job runs here, now",
    ]
    assert told(spec(), passed_over=("Service web",)) == ["the file's other objects are passed over: Service web"]


def test_a_mount_path_in_the_programs_text_is_not_translated_and_that_is_said() -> None:
    mounts = Mounts.of([Mount("/data", Path("/home/me/digits"), True), Mount("/out", Path("/x"), True)])
    [note] = notes_on_paths(spec("open('/data/train.npz'); x = '/database/x', 'see /data'"), mounts)
    assert note.startswith("main.py has /data in its text, which is /home/me/digits here")
    assert list(notes_on_paths(spec("import sys; open(sys.argv[1])"), mounts)) == []
