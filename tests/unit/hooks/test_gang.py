"""Who a process is, from the environment that the launcher gives."""

import json

import pytest

from trainingjob_hooks import gang


def environment(role: str, index: int, workers: int = 2) -> dict[str, str]:
    cluster = {"chief": ["a:1"], "worker": [f"w{i}:1" for i in range(workers)]}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})}


@pytest.mark.parametrize(("role", "index", "rank"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)])
def test_the_chief_is_0_and_worker_i_is_i_plus_1(role: str, index: int, rank: int) -> None:
    found = gang.read(environment(role, index))
    assert (found.rank, found.size, found.is_chief) == (rank, 3, rank == 0)


def test_a_cluster_of_workers_only_has_worker_0_as_its_chief() -> None:
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    assert gang.read({"TF_CONFIG": json.dumps(config)}).is_chief


def test_no_tf_config_is_a_chief_alone() -> None:
    assert gang.read({}) == gang.Gang(rank=0, size=1, role="chief", seed=0)


@pytest.mark.parametrize("env", [{"TRAININGJOB_MEMBER": "evaluator-0"}, environment("evaluator", 0)])
def test_an_evaluator_is_alone_and_no_chief(env: dict[str, str]) -> None:
    found = gang.read(env)
    assert (found.size, found.is_chief) == (1, False)


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {}}', '{"cluster": {}, "task": {"type": "worker"}}'])
def test_a_broken_tf_config_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="TF_CONFIG"):
        gang.read({"TF_CONFIG": text})


def test_jobs_with_checkpoints_in_one_place_have_one_seed() -> None:
    spec = json.dumps({"version": 1, "checkpoint": {"path": "/checkpoints"}})
    one, two = (gang.read({"TRAININGJOB_UID": uid, "TRAININGJOB_SPEC": spec}).seed for uid in "ab")
    assert one == two
    assert gang.read({"TRAININGJOB_UID": "a"}).seed != gang.read({"TRAININGJOB_UID": "b"}).seed
