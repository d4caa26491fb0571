"""Reports to a file, where a job runs without a cluster."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from trainingjob_launcher.contract import ContractError, Report
from trainingjob_launcher.reporter import Reporter, ReportFile, door


def report(sequence: int, *, final: bool = False) -> Report:
    return Report("chief-0", 1, 1, sequence, "Succeeded" if final else "Running", final=final)


def test_the_last_report_is_in_the_file_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "a b" / "report.json"
    file.parent.mkdir()
    reporter = Reporter(door(file.as_uri(), "", ""), interval=0.001)
    for sequence in range(1, 50):
        reporter.offer(report(sequence))
    assert reporter.finish(report(99, final=True), 10.0)
    assert Report.decode(file.read_bytes()) == report(99, final=True)
    assert os.listdir(file.parent) == ["report.json"]


def test_a_folder_keeps_all_of_them_in_their_order(tmp_path: Path) -> None:
    write = ReportFile(tmp_path.as_uri() + "/").post
    bodies = [str(number).encode() for number in range(20)]
    for body in bodies:
        assert write(body).taken
    names = sorted(os.listdir(tmp_path))
    assert [(tmp_path / name).read_bytes() for name in names] == bodies
    assert not any("." in name for name in names)


def test_a_reader_never_sees_half_a_report(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write = ReportFile(file.as_uri()).post
    bodies = [b"a" * 60_000, b"b" * 10]
    write(bodies[0])
    done = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(400):
        assert write(bodies[number % 2]).taken
    done.set()
    reader.join()
    assert seen <= set(bodies)
    assert seen


def test_a_folder_that_is_gone_is_an_error_like_an_intake_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ReportFile((tmp_path / "gone" / "report.json").as_uri()).post(b"{}")


@pytest.mark.parametrize(
    "url", ["file:report.json", "file://host/report.json", "file://", "http://x/y", "ftp://x", ""]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ContractError, match="TRAININGJOB_REPORT_URL"):
        door(url, "", "")
