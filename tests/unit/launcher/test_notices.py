"""A worker that has lost its chief says so to the operator: once at a time, never waiting, never in the way."""

from __future__ import annotations

import queue
from dataclasses import replace

import pytest

from tests.unit.launcher.processes import PATIENCE
from trainingjob_launcher import notices as module
from trainingjob_launcher.contract import Assignment, ContractError, Report
from trainingjob_launcher.notices import Notices
from trainingjob_launcher.reporter import Answer, Post


class Operator:
    """Answers each notice when the test says so, with what it says."""

    def __init__(self) -> None:
        self.heard: queue.Queue[Report] = queue.Queue()
        self.answers: queue.Queue[Answer | OSError] = queue.Queue()

    def post(self, body: bytes) -> Answer:
        self.heard.put(Report.decode(body))
        answer = self.answers.get(timeout=PATIENCE)
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> Operator:
    operator = Operator()

    def door(url: str, ca: str, token_file: str) -> Post:
        assert (url, ca, token_file) == ("https://intake/report", "CA", "/token")
        return operator.post

    monkeypatch.setattr(module, "door", door)
    return operator


WORKER = Assignment(
    job="mnist",
    namespace="ml",
    uid="u-1",
    role="worker",
    index=1,
    incarnation=3,
    workers=2,
    key="00",
    report_url="https://intake/report",
    report_ca="CA",
    report_token_file="/token",
)


def done(notices: Notices) -> None:
    """Wait until the notice that is under way has been answered."""
    assert notices._thread is not None
    notices._thread.join(PATIENCE)
    assert not notices._thread.is_alive()


def test_it_says_who_has_lost_which_chief(operator: Operator) -> None:
    Notices(WORKER).post(chief_incarnation=2, generation=5)
    heard = operator.heard.get(timeout=PATIENCE)
    assert (heard.state, heard.member, heard.incarnation) == ("ChiefLost", "worker-1", 3)
    assert (heard.chief_incarnation, heard.generation, heard.sequence) == (2, 5, 1)
    operator.answers.put(Answer(204))


def test_while_one_is_under_way_the_next_is_left_out(operator: Operator) -> None:
    """An operator that does not answer must not gather threads: the next one says the same."""
    notices = Notices(WORKER)
    for _ in range(5):
        notices.post(1, 1)
    assert operator.heard.get(timeout=PATIENCE).sequence == 1
    operator.answers.put(Answer(204))
    done(notices)
    notices.post(1, 1)
    assert operator.heard.get(timeout=PATIENCE).sequence == 2
    operator.answers.put(Answer(204))
    done(notices)
    assert operator.heard.empty()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OSError("no route"), "it can't be reached: no route; it is tried again"),
        (Answer(403), "it answered 403; it is tried again"),
    ],
)
def test_trouble_is_said_once_and_raised_to_nobody(
    operator: Operator, answer: Answer | OSError, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    notices = Notices(WORKER)
    for _ in range(3):
        operator.answers.put(answer)
        notices.post(1, 1)
        done(notices)
    assert operator.heard.qsize() == 3
    out = "".join(capfd.readouterr())
    assert out.count("the operator could not be told that the chief is lost") == 1
    assert said in out


@pytest.mark.parametrize("url", ["", "file:///tmp/report"])
def test_without_an_operator_nobody_is_told(operator: Operator, url: str) -> None:
    """A file, where a job runs without a cluster, is the chief's: a worker would write over its last report."""
    notices = Notices(replace(WORKER, report_url=url))
    notices.post(1, 1)
    assert notices._thread is None
    assert operator.heard.empty()


def test_an_address_that_is_none_is_said_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def door(*_: str) -> Post:
        raise ContractError("TRAININGJOB_REPORT_URL", "is 'https://:x', must be https://HOST[:PORT]/PATH")

    monkeypatch.setattr(module, "door", door)
    Notices(WORKER).post(1, 1)
    assert "the operator can't be told when the chief is lost: TRAININGJOB_REPORT_URL" in "".join(capfd.readouterr())
