"""The reporter through hours of trouble, in virtual time; and each kind of trouble once over a real connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.launcher.processes import PATIENCE, Intake, running_intake
from trainingjob_launcher import reporter as module
from trainingjob_launcher.contract import Report
from trainingjob_launcher.reporter import FINAL_PAUSE, MAX_BACKOFF, Reporter
from trainingjob_launcher.reporter import Intake as Client

INTERVAL = 5.0
TINY = 1e-6
AWAY = (0, None)
Answer = tuple[int, float | None]


class Simulated(Reporter):
    """A reporter without a thread: `until` does what the thread would, in virtual time.

    `answers` says what the intake answers at a time. A status of 0 is a connection that fails.
    """

    def __init__(self, answers: list[tuple[float, Answer]]) -> None:
        self.now = 0.0
        self.answers = answers
        self.posts: list[tuple[float, Report, int, float | None]] = []
        super().__init__(self._exchange, INTERVAL, lambda: self.now)
        self._thread.join()

    def _run(self) -> None:
        """Nothing: the test is the thread."""

    def _exchange(self, body: bytes) -> Answer:
        status, after = next((answer for begins, answer in reversed(self.answers) if begins <= self.now), (204, None))
        self.posts.append((self.now, Report.decode(body), status, after))
        if status == 0:
            raise ConnectionRefusedError("away")
        return status, after

    def until(self, end: float) -> None:
        while not self._finished.is_set() and self._slot is not None and max(self._due, self.now) <= end:
            self.now = max(self._due, self.now)
            report, self._slot = self._slot, None
            self._send(report)
        self.now = end


offers = st.lists(st.tuples(st.floats(0.1, 20), st.booleans()), min_size=1, max_size=60)
moods = st.lists(
    st.tuples(
        st.floats(0, 300),
        st.sampled_from([(204, None), AWAY, (503, 2.0), (429, 30.0), (401, None), (403, None), (429, 1.0)]),
    ),
    max_size=8,
).map(sorted)


@given(steps=offers, mood=moods)
def test_whatever_the_intake_does(steps: list[tuple[float, bool]], mood: list[tuple[float, Answer]]) -> None:
    away_until = max((begins for begins, _ in mood), default=0.0)
    mood = [*mood, (away_until + 60, (204, None))]
    reporter = Simulated(mood)
    generation, offered = 1, []
    for sequence, (pause, again) in enumerate(steps, 1):
        reporter.until(reporter.now + pause)
        generation += again
        report = Report("chief-0", 1, generation, sequence, "Running")
        offered.append((reporter.now, report))
        reporter.offer(report)
        reporter.until(reporter.now)
    healthy = max(reporter.now, away_until + 60)
    reporter.until(healthy + 30 + MAX_BACKOFF + INTERVAL)  # 30: it may have been told to wait so long
    assert reporter.posts[-1][1].sequence == len(steps), "the latest arrives when the intake is back"
    assert reporter.posts[-1][2] == 204
    assert reporter.posts[0][0] == offered[0][0], "the first goes at once"

    for at, report, _, _ in reporter.posts:
        latest = max(one.sequence for when, one in offered if when <= at)
        assert report.sequence == latest, "latest wins"
    for (at, report, status, after), (then, following, _, _) in zip(reporter.posts, reporter.posts[1:], strict=False):
        first = following.generation != report.generation
        assert then - at >= (after or 0.0) - TINY, "Retry-After is kept, whatever comes"
        if status == 204 and not first:
            assert then - at >= INTERVAL - TINY
        elif not first:
            assert then - at >= INTERVAL / 2 - TINY, "half of the interval at least between two tries"


@given(steps=offers, mood=moods, silence=st.floats(0, 100))
def test_the_last_one_always_goes(
    steps: list[tuple[float, bool]], mood: list[tuple[float, Answer]], silence: float
) -> None:
    ends = max((begins for begins, _ in mood), default=0.0)
    reporter = Simulated([*mood, (ends + 10, (204, None))])
    for sequence, (pause, _) in enumerate(steps, 1):
        reporter.until(reporter.now + pause)
        reporter.offer(Report("chief-0", 1, 1, sequence, "Running"))
    reporter.until(reporter.now + silence)
    asked = reporter.now
    reporter.finish(Report("chief-0", 1, 1, 999, "Succeeded", final=True), 0)
    held = max((at + after for at, _, _, after in reporter.posts if after), default=0.0)
    reporter.until(asked + 500)
    at, last, status, _ = reporter.posts[-1]
    assert (last.final, status) == (True, 204)
    tries = [when for when, report, _, _ in reporter.posts if report.final]
    assert tries[0] == max(asked, held), "at once, unless it was asked to wait"
    waits = [after or FINAL_PAUSE for _, report, code, after in reporter.posts if report.final and code != 204]
    assert at <= max(tries[0], ends + 10) + max(waits, default=0.0) + TINY


def test_an_outage_does_not_make_the_reporter_ask_with_every_report_of_a_new_generation() -> None:
    reporter = Simulated([(1.0, AWAY)])
    reporter.offer(Report("chief-0", 1, 1, 1, "Running"))
    reporter.until(10)
    for sequence in range(2, 602):
        reporter.until(reporter.now + 0.1)
        reporter.offer(Report("chief-0", 1, 2, sequence, "Running"))
    assert len(reporter.posts) < 20, "in a minute"


# --- Over a real connection ---


@pytest.fixture
def intake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Intake]:
    # How long an intake on a busy machine may take to answer is no question of these tests: a client that gives up
    # fails, or, over a connection that it had kept, tries again over a second one.
    monkeypatch.setattr(module, "TIMEOUT", PATIENCE)
    with running_intake(tmp_path) as running:
        yield running


BODY = Report("chief-0", 1, 1, 1, "Running").encode()


def test_the_token_is_read_anew_for_every_report(intake: Intake, tmp_path: Path) -> None:
    """The kubelet replaces it before it expires; a file that is missing for a moment is only a try that failed."""
    token = tmp_path / "token"
    client = Client(intake.url, intake.ca, str(token))
    with pytest.raises(FileNotFoundError):
        client.post(BODY)
    for text in ("one\n", "two"):
        token.write_text(text)
        assert client.post(BODY)[0] == 202
        assert intake.take()[0]["Authorization"] == f"Bearer {text.strip()}"
    assert intake.connections == 1
    client.close()


def test_a_token_that_cannot_be_in_a_header_is_only_a_try_that_failed(intake: Intake, tmp_path: Path) -> None:
    token = tmp_path / "token"
    client = Client(intake.url, intake.ca, str(token))
    for bad in ("a\nb", "\u00e9\u4e2d"):
        token.write_text(bad)
        with pytest.raises(OSError, match=r"ValueError|UnicodeEncodeError"):
            client.post(BODY)
    token.write_text("good")
    assert client.post(BODY)[0] == 202
    client.close()


@contextlib.contextmanager
def mute() -> Iterator[int]:
    """A port where connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_intake_that_never_answers_costs_its_time_and_no_more(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    with mute() as port:
        client = Client(f"https://127.0.0.1:{port}/r", intake.ca, "")
        for _ in range(2):
            with pytest.raises(TimeoutError):
                client.post(BODY)
        client.close()


@pytest.mark.parametrize("host", ["intake..svc", "x" * 64, "no-such-host.invalid"])
def test_a_name_that_is_not_found_is_only_a_try_that_failed(
    intake: Intake, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if host.endswith(".invalid"):

        def nobody(*_args: object, **_more: object) -> object:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(OSError):
        Client(f"https://{host}/r", intake.ca, "").post(BODY)


@pytest.mark.parametrize(
    "ca",
    [
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN",
        "-----BEGIN \u00e9",
        "/no/such/file.pem",
    ],
)
def test_a_ca_that_is_none_is_only_a_try_that_failed(intake: Intake, ca: str) -> None:
    with pytest.raises(OSError):
        Client(intake.url, ca, "").post(BODY)


def test_no_error_ends_the_thread(capfd: pytest.CaptureFixture[str]) -> None:
    done = threading.Event()

    def post(body: bytes) -> Answer:
        if not done.is_set():
            done.set()
            raise RuntimeError("a defect")
        return 204, None

    reporter = Reporter(post, interval=0.01)
    reporter.offer(Report("chief-0", 1, 1, 1, "Running"))
    assert done.wait(PATIENCE)
    assert reporter.finish(Report("chief-0", 1, 1, 2, "Succeeded", final=True), PATIENCE)
    assert "a defect" in capfd.readouterr().err
