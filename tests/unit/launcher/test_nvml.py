"""GPUs as NVIDIA's library tells of them, and machines without it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.unit.launcher.gpus import TOTAL, USED, UTILIZATION, compiled
from trainingjob_launcher.contract import GpuUsage
from trainingjob_launcher.nvml import LIBRARY, Nvml


def test_the_gpus_that_are_ours_with_what_is_known_of_each(tmp_path: Path) -> None:
    nvml = Nvml.open({}, str(compiled(tmp_path)))
    assert nvml is not None
    expected = (
        GpuUsage(UTILIZATION, USED[0], TOTAL),
        GpuUsage(None, USED[1], TOTAL),  # no utilisation is not zero
        GpuUsage(),  # lost: it keeps its place
    )
    assert nvml.read() == expected
    assert nvml.read() == expected
    nvml.close()
    assert nvml.read() == ()


def test_without_the_library_there_are_no_gpus_and_it_takes_no_time() -> None:
    began = time.perf_counter()
    assert Nvml.open({}, "libnvidia-ml-of-nobody.so.1") is None
    assert time.perf_counter() - began < 1.0


def test_a_machine_without_a_driver_is_no_news(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert Nvml.open({}, str(compiled(tmp_path, "-DINIT=9"))) is None
    assert capfd.readouterr().err == ""


def test_a_library_that_does_not_start_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert Nvml.open({}, str(compiled(tmp_path, "-DINIT=18"))) is None
    assert capfd.readouterr().err == ("trainingjob: the GPUs' usage can't be read: NVML does not start (code 18)\n")


def test_a_library_that_lacks_a_function_or_is_none_is_as_good_as_none(tmp_path: Path) -> None:
    assert Nvml.open({}, str(compiled(tmp_path, "-DOLD"))) is None
    (tmp_path / "text.so").write_text("no library")
    assert Nvml.open({}, str(tmp_path / "text.so")) is None


def test_numbers_that_can_not_be_are_left_out(tmp_path: Path) -> None:
    nvml = Nvml.open({}, str(compiled(tmp_path, "-DGARBAGE")))
    assert nvml is not None
    assert nvml.read()[0] == GpuUsage(None, None, TOTAL)


def test_of_a_slice_of_a_gpu_nothing_is_told(tmp_path: Path) -> None:
    library = str(compiled(tmp_path))
    assert Nvml.open({"NVIDIA_VISIBLE_DEVICES": "MIG-8a2c1f6e"}, library) is None
    assert Nvml.open({"NVIDIA_VISIBLE_DEVICES": "GPU-8a2c1f6e"}, library) is not None


def test_the_library_is_the_drivers() -> None:
    assert LIBRARY == "libnvidia-ml.so.1"  # the name without the version is of the development package
