"""A pod of the operator's own building becomes a process: what its launcher is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.runs import job
from trainingjob_launcher.contract import Assignment
from trainingjob_local.errors import LocalError
from trainingjob_local.job_file import Companions
from trainingjob_local.member import Site, Start, prepare
from trainingjob_local.platform import local_platform
from trainingjob_local.pods import admitted
from trainingjob_local.python import Python
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.observe import observe_job
from trainingjob_operator.core.validation import judge

TRAINING = {
    "dataset": {"npz": {"path": "/data/train.npz"}},
    "validation": {"dataset": {"npz": {"path": "/data/val.npz"}}},
    "model": {"preset": "Linear"},
    "loss": "mse",
    "epochs": 1,
}


def site(folder: Path, **more: Any) -> Site:
    values: dict[str, Any] = {
        "shell": {"PATH": "/usr/bin", "TF_CONFIG": "another's", "TRAININGJOB_UID": "another's", "EDITOR": "ed"},
        "volumes": {}, "companions": Companions(), "gpus": {}, **more,
    }  # fmt: skip
    return Site(
        folder, Path("/home/me/data"), Path("/home/me"), Python("/opt/py/bin/python3", (3, 11), "2"), 4242, **values
    )


def start(body: dict[str, Any], at: Site, role: str = "chief", index: int = 0) -> Start:
    fact = observe_job({**body, "metadata": {**body["metadata"], "uid": "the-uid", "namespace": "ns"}})
    platform = local_platform(body["spec"])
    assert fact.spec is not None, fact.problems
    assert judge(fact.spec, platform) == ()
    return prepare(admitted(build_pod(fact, role, index, 1, platform)), at)


def test_members_meet_on_loopback_and_only_the_chief_reports(tmp_path: Path) -> None:
    at = site(tmp_path)
    body = job("pass", workers=2)
    chief = Assignment.from_env(start(body, at).env)
    worker = Assignment.from_env(start(body, at, "worker", 1).env)
    assert (worker.chief_host, worker.chief_port, worker.trainer_port, worker.pod_ip) == (
        "127.0.0.1",
        4242,
        0,
        "127.0.0.1",
    )
    assert (chief.report_url, worker.report_url) == ((tmp_path / "reports").as_uri() + "/", "")
    assert chief.report_interval_seconds == 1.0
    assert (chief.report_ca, chief.report_token_file) == ("", "")
    assert (worker.member, worker.workers, worker.uid, worker.namespace) == ("worker-1", 2, "the-uid", "ns")
    assert worker.pod_name == "toy-worker-1"
    assert worker.pod_uid == "", "or the launcher would take the machine's memory for its own"


def test_the_rest_of_the_contract_is_as_the_operator_wrote_it(tmp_path: Path) -> None:
    """Whatever is not of this machine is the same in both: also what a later version adds."""
    body = job("print('$(HOME) $$')", workers=1)
    fact = observe_job({**body, "metadata": {**body["metadata"], "uid": "the-uid", "namespace": "ns"}})
    pod = build_pod(fact, "worker", 0, 1, local_platform(body["spec"]))
    plain = {e["name"]: e["value"].replace("$$", "$") for e in pod["spec"]["containers"][0]["env"] if "value" in e}
    given, told = (Assignment.from_env(env) for env in (plain, start(body, site(tmp_path), "worker").env))
    changed = {f.name for f in dataclasses.fields(given) if getattr(given, f.name) != getattr(told, f.name)}
    assert changed == {
        "key", "chief_host", "chief_port", "trainer_port", "work_dir", "pod_name", "pod_ip", "node_name",
        "report_url", "report_token_file",  # a worker says when it has lost its chief: to nobody, here
    }  # fmt: skip
    assert told.files == {"main.py": "print('$(HOME) $$')"}


def test_paths_of_the_training_are_translated(tmp_path: Path) -> None:
    body = job(
        training=TRAINING,
        volumes=[{"mountPath": "/data", "hostPath": {"path": "/mnt/digits"}}],
        checkpoint={"volume": {"persistentVolumeClaim": {"claimName": "runs"}, "subPath": "a"}},
        output={"path": "/data/model"},
        reporting={"tensorboard": True},
    )
    told = Assignment.from_env(start(body, site(tmp_path)).env)
    document = told.document
    assert document["training"]["dataset"]["npz"]["path"] == "/mnt/digits/train.npz"
    assert document["training"]["validation"]["dataset"]["npz"]["path"] == "/mnt/digits/val.npz"
    assert document["checkpoint"]["path"] == "/home/me/data/runs/a"
    assert document["output"]["path"] == "/mnt/digits/model"
    assert told.tensorboard_dir.startswith("/home/me/data/runs/a/tensorboard/")


def test_a_program_without_files_starts_where_the_person_is(tmp_path: Path) -> None:
    body = job()
    body["spec"]["program"] = {"command": ["python", "train.py"]}
    begun = start(body, site(tmp_path))
    assert Assignment.from_env(begun.env).work_dir == "/home/me"
    assert begun.command == ["/opt/py/bin/python3", "-m", "trainingjob_launcher", "--", "python", "train.py"]


def test_a_folder_of_the_image_is_where_volume_says(tmp_path: Path) -> None:
    body = job()
    body["spec"]["program"] = {"command": ["python", "/app/train.py"], "workingDir": "/app"}
    with pytest.raises(LocalError, match="--volume /app=FOLDER"):
        start(body, site(tmp_path))
    begun = start(body, site(tmp_path, volumes={"/app": Path("/home/me/code")}))
    assert Assignment.from_env(begun.env).work_dir == "/home/me/code"
    assert begun.command[-1] == "/home/me/code/train.py"


def test_the_shell_is_beneath_the_jobs_variables_and_no_other_training_shines_through(tmp_path: Path) -> None:
    env = [{"name": "EDITOR", "value": "vi"}, {"name": "PYTHONPATH", "value": "/workspace/lib"}]
    found = start(job("pass", program={"env": env}), site(tmp_path)).env
    assert found["EDITOR"] == "vi"
    assert "TF_CONFIG" not in found
    assert found["TRAININGJOB_UID"] == "the-uid"
    assert found["PATH"] == f"{tmp_path}/bin:/opt/py/bin:/usr/bin"
    workspace = tmp_path / "members/toy-chief-0/volumes/workspace"
    assert found["PYTHONPATH"] == f"{workspace}/lib:{tmp_path}/packages"


def test_gpus_are_as_dealt_unless_the_job_says_otherwise(tmp_path: Path) -> None:
    at = site(tmp_path, gpus={"chief-0": "2"})
    assert start(job("pass"), at).env["CUDA_VISIBLE_DEVICES"] == "2"
    env = [{"name": "CUDA_VISIBLE_DEVICES", "value": "0"}]
    assert start(job("pass", program={"env": env}), at).env["CUDA_VISIBLE_DEVICES"] == "0"


def test_any_node_pool_and_any_image_is_there(tmp_path: Path) -> None:
    pool = {"name": "a100", "accelerator": {"resource": "nvidia.com/gpu", "count": 8}}
    body = job("pass", workers=1, image="my/image:1", nodePool=pool)
    assert start(body, site(tmp_path)).command[:4] == ["/opt/py/bin/python3", "-m", "trainingjob_launcher", "--"]


def test_files_of_config_maps_lie_with_the_member(tmp_path: Path) -> None:
    body = job(
        "pass", volumes=[{"mountPath": "/conf", "configMap": {"name": "c", "items": [{"key": "k", "path": "d/f"}]}}]
    )
    at = site(tmp_path, companions=Companions({("ConfigMap", "c"): {"k": b"text", "unused": b""}}))
    folder = Path(start(body, at).mounts.path("/conf"))
    assert json.dumps([str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]) == '["d/f"]'
    assert (folder / "d/f").read_bytes() == b"text"
