"""GPUs are dealt out: a cluster gives each member its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainingjob_local.gpus import deal, visible

GANG = ["chief-0", "worker-0", "worker-1"]


@pytest.mark.parametrize(
    ("devices", "members", "beside", "dealt"),
    [
        ([], GANG, [], {}),
        (["0", "1"], ["chief-0"], [], {}),
        (["0", "1", "2"], GANG, [], {"chief-0": "0", "worker-0": "1", "worker-1": "2"}),
        (["4", "5", "6", "7"], GANG[:2], [], {"chief-0": "4,5", "worker-0": "6,7"}),
        (["0", "1"], GANG, [], dict.fromkeys(GANG, "-1")),
        (["0", "1"], GANG[:1], ["evaluator-0"], {"chief-0": "0", "evaluator-0": "1"}),
        (["0"], GANG[:1], ["evaluator-0"], {"chief-0": "0", "evaluator-0": "-1"}),
    ],
)
def test_each_member_has_its_own(
    devices: list[str], members: list[str], beside: list[str], dealt: dict[str, str]
) -> None:
    assert deal(devices, members, beside) == dealt


def test_the_shells_choice_counts_before_the_machines(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g (UUID: y)'\necho 'GPU 1: A (UUID: z)'\n")
    program.chmod(0o755)
    shell = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert visible(shell) == ["0", "1"]
    assert visible({**shell, "CUDA_VISIBLE_DEVICES": "3,GPU-abc"}) == ["3", "GPU-abc"]
    assert visible({**shell, "CUDA_VISIBLE_DEVICES": "-1"}) == []
    assert visible({**shell, "CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible({"PATH": str(tmp_path / "none")}) == []
    program.write_text("#!/bin/sh\nexit 9\n")
    assert visible(shell) == []
