"""The reporter: latest wins, first and last at once, and an intake in any mood holds nothing up."""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.launcher.processes import PATIENCE, Intake, running_intake
from trainingjob_launcher import reporter as module
from trainingjob_launcher.contract import ContractError, Report
from trainingjob_launcher.reporter import Intake as Client
from trainingjob_launcher.reporter import Reporter

Answer = tuple[int, float | None]


def report(sequence: int, final: bool = False, generation: int = 1) -> Report:
    state = "Succeeded" if final else "Running" if generation else "Forming"
    return Report("chief-0", 1, generation, sequence, state, final)


class Scripted:
    """An intake that answers by a script; each post waits until the test lets it go on."""

    def __init__(self, *answers: Answer | OSError) -> None:
        self.answers = list(answers)
        self.posted: queue.Queue[int] = queue.Queue()
        self.go = threading.Semaphore(0)

    def post(self, body: bytes) -> Answer:
        self.posted.put(Report.decode(body).sequence)
        assert self.go.acquire(timeout=PATIENCE)
        answer = self.answers.pop(0) if self.answers else (202, None)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def next(self) -> int:
        """Let the post that is under way end, and return its sequence number."""
        sequence = self.posted.get(timeout=PATIENCE)
        self.go.release()
        return sequence


def test_the_first_goes_at_once_and_of_the_others_only_the_latest() -> None:
    intake = Scripted()
    reporter = Reporter(intake.post, interval=0.01)
    reporter.offer(report(1))
    assert intake.posted.get(timeout=PATIENCE) == 1
    for sequence in range(2, 50):
        reporter.offer(report(sequence))
    intake.go.release()
    assert intake.next() == 49


def test_the_last_does_not_wait_for_the_interval() -> None:
    intake = Scripted()
    reporter = Reporter(intake.post, interval=1e6)
    reporter.offer(report(1))
    assert intake.next() == 1
    reporter.offer(report(2))
    intake.go.release()
    assert reporter.finish(report(3, final=True), PATIENCE)
    assert intake.posted.get(timeout=PATIENCE) == 3


def test_the_first_of_a_generation_does_not_wait_for_the_interval() -> None:
    intake = Scripted()
    reporter = Reporter(intake.post, interval=1e6)
    reporter.offer(report(1, generation=0))
    assert intake.next() == 1
    reporter.offer(report(2, generation=1))
    assert intake.posted.get(timeout=PATIENCE) == 2
    reporter.offer(report(3, generation=2))  # while the other is on its way
    intake.go.release()
    assert intake.next() == 3


def test_nothing_comes_after_the_last() -> None:
    intake = Scripted()
    reporter = Reporter(intake.post, interval=0.001)
    intake.go.release()
    assert reporter.finish(report(1, final=True), PATIENCE)
    reporter.offer(report(2))
    assert intake.posted.get(timeout=PATIENCE) == 1
    assert intake.posted.empty()


def test_the_last_is_tried_again_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FINAL_PAUSE", 0.01)
    intake = Scripted(OSError("refused"), (503, None), (202, None))
    for _ in range(3):
        intake.go.release()
    assert Reporter(intake.post, interval=5.0).finish(report(1, final=True), PATIENCE)
    assert intake.posted.qsize() == 3


def test_the_end_waits_no_longer_than_it_was_told() -> None:
    intake = Scripted()  # never lets go
    reporter = Reporter(intake.post, interval=5.0)
    assert not reporter.finish(report(1, final=True), 0.05)
    intake.go.release()


@pytest.mark.parametrize("status", [400, 409])
def test_a_hopeless_last_report_is_not_tried_again(status: int) -> None:
    intake = Scripted((status, None))
    intake.go.release()
    started = time.monotonic()
    assert not Reporter(intake.post, interval=5.0).finish(report(1, final=True), PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2
    assert intake.posted.qsize() == 1


def test_each_kind_of_trouble_is_said_once_and_success_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    intake = Scripted((401, None), (401, None), (503, None), (401, None), (202, None))
    reporter = Reporter(intake.post, interval=0.001, clock=stepping())
    for sequence in range(1, 6):
        reporter.offer(report(sequence))
        assert intake.next() == sequence
    intake.go.release()
    assert reporter.finish(report(9, final=True), PATIENCE)
    said = capfd.readouterr().err
    assert said.count("answered 401") == 1
    assert said.count("answered 503") == 1
    assert said.count("takes reports again") == 1


def stepping() -> Callable[[], float]:
    """Return a clock that is 100 s later each time it is read: every wait is over at once."""
    seconds = iter(range(0, 10**9, 100))
    return lambda: float(next(seconds))


def test_retry_after_is_honoured() -> None:
    now = [0.0]
    settled = threading.Event()
    intake = Scripted((429, 30.0))

    def clock() -> float:
        if intake.posted.empty() and not intake.answers:
            settled.set()  # read under the reporter's lock, once the answer is there
        return now[0]

    reporter = Reporter(intake.post, interval=0.001, clock=clock)
    reporter.offer(report(1))
    assert intake.next() == 1
    assert settled.wait(PATIENCE)
    reporter.offer(report(2))
    assert not reporter.finish(report(3, final=True), 0.05)  # within its 30 s nobody asks again
    assert intake.posted.empty()
    now[0] = 30.0
    intake.go.release()
    assert reporter.finish(report(4, final=True), PATIENCE)


# --- Over a real connection ---


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    with running_intake(tmp_path) as running:
        yield running


def test_status_and_retry_after_come_back_over_one_connection(intake: Intake) -> None:
    client = Client(intake.url, intake.ca, "")
    intake.answers = [(202, {}), (429, {"Retry-After": "7"}), (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})]
    assert [client.post(report(1).encode())[:2] for _ in range(3)] == [(202, None), (429, 7.0), (503, None)]
    assert intake.connections == 1
    client.close()


def test_a_connection_that_the_intake_has_closed_is_made_anew(intake: Intake) -> None:
    client = Client(intake.url, intake.ca, "")
    intake.answers = [(202, {"Connection": "close"}), (202, {})]
    assert [client.post(report(1).encode())[0] for _ in range(2)] == [202, 202]
    client.close()


def test_the_ca_may_be_a_file(intake: Intake, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(intake.ca)
    client = Client(intake.url, str(path), "")
    assert client.post(report(1).encode())[0] == 202
    client.close()


def test_an_intake_with_another_certificate_is_not_spoken_to(intake: Intake, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with running_intake(tmp_path / "other") as other, pytest.raises(ssl.SSLCertVerificationError):
        Client(other.url, intake.ca, "").post(report(1).encode())
    assert intake.posted.empty()


def test_an_intake_with_another_name_is_not_spoken_to(tmp_path: Path) -> None:
    with running_intake(tmp_path, "intake.example") as other, pytest.raises(ssl.SSLCertVerificationError):
        Client(other.url, other.ca, "").post(report(1).encode())


@pytest.mark.parametrize("url", ["http://intake/report", "https://", "intake:443", "https://intake:x/"])
def test_a_url_that_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(ContractError, match="TRAININGJOB_REPORT_URL"):
        Client(url, "", "")
