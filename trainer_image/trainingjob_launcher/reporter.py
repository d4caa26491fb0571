"""Posts reports to the operator's intake, in a thread of its own, so that nothing there ever holds up training.

One slot, latest wins: what was not sent in time is not sent at all. At most one report per interval, but the first
of each state, one that names other unreachable members, questions and the last go at once. An intake that is away,
slow or unwilling costs a log line per kind of trouble.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Callable, Dict, NamedTuple, Optional, Set, Tuple
from urllib.parse import unquote, urlsplit

from trainingjob_launcher.contract import ContractError, Report
from trainingjob_launcher.log import say

if TYPE_CHECKING:
    import http.client
    import ssl

TIMEOUT = 3.0
#: Also about how much longer the hole in a job's history is than the operator's absence.
MAX_BACKOFF = 10.0
FINAL_PAUSE = 0.5
#: So much of an answer's text is read.
_MAX_SAID = 1024
#: Answers that a repetition does not change.
_HOPELESS = (400, 404, 409, 413)
_REMEDIES = {
    400: "it does not understand the report",
    401: "it does not accept the token",
    403: "the token is not for this job or pod",
    409: "it knows a later report",
}


#: What makes a report one that does not wait for its time.
_Headline = Tuple[int, str, Tuple[str, ...], bool]


class Answer(NamedTuple):
    """What came back: the HTTP status, the seconds of `Retry-After`, if any, and the beginning of the text."""

    status: int
    retry_after: Optional[float] = None
    said: str = ""

    @property
    def taken(self) -> bool:
        """Whether the report has arrived."""
        return 200 <= self.status < 300


#: Hands one encoded report over; raises OSError when there is no answer.
Post = Callable[[bytes], Answer]


class Intake:
    """The intake's address and one connection to it, kept alive. Not for several threads at once."""

    def __init__(self, url: str, ca: str, token_file: str) -> None:
        """`url` is https://HOST[:PORT]/PATH; `ca` is a CA certificate in PEM or the path of one, "" for the system's.

        Raises:
            ContractError: the URL is not one.
        """
        try:
            parts = urlsplit(url)
            self._port = parts.port or 443
        except ValueError as error:
            raise ContractError("TRAININGJOB_REPORT_URL", f"is {url!r}: {error}") from error
        if parts.scheme != "https" or not parts.hostname:
            raise ContractError("TRAININGJOB_REPORT_URL", f"is {url!r}, must be https://HOST[:PORT]/PATH")
        self._host = parts.hostname
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._ca = ca
        self._token_file = token_file
        self._connection: Optional[http.client.HTTPSConnection] = None

    def post(self, body: bytes) -> Answer:
        """Send one report.

        Raises:
            OSError: no connection, no certificate that we trust, no token file, no answer in time.
        """
        headers = {"Content-Type": "application/json"}
        if self._token_file:
            # The kubelet replaces the token every hour: it is read each time.
            with open(self._token_file, encoding="ascii", errors="replace") as file:
                headers["Authorization"] = f"Bearer {file.read().strip()}"
        reused = self._connection is not None
        try:
            return self._exchange(body, headers)
        except OSError:
            if not reused:
                raise
            return self._exchange(body, headers)  # the other side had closed what we kept

    def _exchange(self, body: bytes, headers: Dict[str, str]) -> Answer:
        import http.client

        try:
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=TIMEOUT, context=self._context()
                )
            self._connection.request("POST", self._path, body, headers)
            response = self._connection.getresponse()
            said = response.read(64 * 1024)
        except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
            self.close()
            if isinstance(error, OSError):
                raise
            raise OSError(f"{type(error).__name__}: {error}") from error
        if response.will_close or not response.isclosed():
            self.close()
        after = _seconds(response.headers.get("Retry-After", ""))
        return Answer(response.status, after, said[:_MAX_SAID].decode("utf-8", "replace"))

    def _context(self) -> ssl.SSLContext:
        import ssl

        if self._ca.lstrip().startswith("-----BEGIN"):
            return ssl.create_default_context(cadata=self._ca)
        return ssl.create_default_context(cafile=self._ca or None)

    def close(self) -> None:
        """Give up the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ReportFile:
    """Takes reports where there is no intake: each takes the place of the last, in one step, so nobody reads half.

    A path that ends with a slash is a folder. It keeps all of them, with names in the order in which they came, until
    somebody takes them away; names with a dot are not whole yet.
    """

    def __init__(self, url: str) -> None:
        """`url` is file:///PATH; the folder is there already.

        Raises:
            ContractError: the URL is not one.
        """
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
            raise ContractError("TRAININGJOB_REPORT_URL", f"is {url!r}, must be file:///PATH")
        self._path = unquote(parts.path)

    def post(self, body: bytes) -> Answer:
        """Write one report; return 200, as an intake would.

        Raises:
            OSError: the folder is not there, or full.
        """
        path = f"{self._path}{time.time_ns():020}" if self._path.endswith("/") else self._path
        fresh = f"{path}.{os.getpid()}"
        with open(fresh, "wb") as file:
            file.write(body)
        os.replace(fresh, path)
        return Answer(200)


def door(url: str, ca: str, token_file: str) -> Post:
    """Return what posts a report to `url`: the operator's intake, or a file where a job runs without a cluster.

    Raises:
        ContractError: the URL is neither.
    """
    if url.startswith("file:"):
        return ReportFile(url).post
    return Intake(url, ca, token_file).post


def _seconds(text: str) -> Optional[float]:
    """Read Retry-After in seconds; dates are not worth their code here."""
    return float(text) if text.isdigit() and len(text) < 6 else None


class Reporter:
    """The thread that posts. `offer` and `finish` never raise."""

    def __init__(
        self,
        post: Post,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
        heard: Callable[[Report, Answer], None] = lambda _report, _answer: None,
    ) -> None:
        """`heard` is told each answer, in the reporter's own thread; it must not raise."""
        self._post = post
        self._heard = heard
        self._interval = interval
        self._clock = clock
        self._changed = threading.Condition()
        self._slot: Optional[Report] = None
        self._kept: Optional[Report] = None  # goes once before what is in the slot
        self._due = -math.inf
        self._held_until = -math.inf  # the intake's Retry-After
        self._failures = 0
        self._closing = False
        self._taken = False
        self._told: Optional[_Headline] = None  # headline of the last report that the intake took
        self._last: Optional[Report] = None
        self._hurried: Optional[_Headline] = None  # headline that did not wait for its time
        self._shown: object = None  # how far training was in the last report that had news of it, and when it went
        self._shown_at = -math.inf
        self._finished = threading.Event()
        self._said: Set[str] = set()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def offer(self, report: Report, urgent: bool = False) -> None:
        """Put a report into the slot; it goes when the interval is over, at once if it is the first of its state."""
        with self._changed:
            if not self._closing:
                if self._slot is not None and self._slot.state == "Restarting" and report.state != "Restarting":
                    # A restart takes less time than a post: why a generation ended must not be lost for that.
                    self._kept = self._slot
                self._slot = report
                if urgent and self._failures == 0:
                    self._due = self._held_until
                # Only the first of a state goes at once: the others wait with it, however long the intake is away.
                if self._told is not None and _headline(report) not in (self._told, self._hurried):
                    self._hurried = _headline(report)
                    self._due = self._held_until
                elif self._failures == 0:
                    self._bring_forward(report)
                self._changed.notify()

    def finish(self, report: Report, patience: float) -> bool:
        """Send the last report, for at most `patience` seconds; True when the intake has taken it."""
        with self._changed:
            self._closing = True
            self._slot = self._last = report
            self._due = self._held_until
            self._changed.notify()
        return self._finished.wait(patience) and self._taken

    def _run(self) -> None:
        while not self._finished.is_set():
            with self._changed:
                while self._slot is None or self._clock() < self._due:
                    self._changed.wait(None if self._slot is None else self._due - self._clock())
                report, kept, self._kept = self._slot, self._kept, None
                if kept is None:
                    self._slot = None
            self._send(kept or report)

    def _send(self, report: Report) -> None:
        answer = Answer(0)
        try:
            answer = Answer(*self._post(report.encode()))
        except Exception as error:  # whatever it is: a thread that died of it would never report again
            self._say_once(type(error).__name__, f"can't be reached: {error}")
        else:
            status = answer.status
            if not answer.taken:
                self._say_once(str(status), f"answered {status}: {_REMEDIES.get(status, 'it is tried again')}")
        with self._changed:
            self._settle(report, answer)
        self._heard(report, answer)

    def _settle(self, report: Report, answer: Answer) -> None:
        """Decide whether this report is tried again, and when the next one goes."""
        now = self._clock()
        taken, status, after = answer.taken, answer.status, answer.retry_after
        last = report is self._last
        if last and (taken or status in _HOPELESS):
            self._taken = taken
            self._finished.set()
            return
        if taken:
            self._told = _headline(report)
            if self._failures:
                self._said.clear()
                say("the operator takes reports again")
            self._failures = 0
            news = self._slot is not None and _headline(self._slot) != self._told
            if _progress(report) != self._shown:
                self._shown, self._shown_at = _progress(report), now
            self._due = now if self._closing or news else now + self._interval
            if self._slot is not None:
                self._bring_forward(self._slot)
            return
        self._failures += 1
        if self._slot is None and status not in _HOPELESS:
            self._slot = report
        backoff = min(MAX_BACKOFF, max(1.0, self._interval) * 2 ** min(self._failures - 1, 6))
        wait = FINAL_PAUSE if self._closing else backoff * random.uniform(0.5, 1.0)
        self._held_until = now if after is None else now + after
        # A last report that came while another was on its way does not pay for that one's failure.
        self._due = max(self._held_until, now if self._closing and not last else now + wait)

    def _bring_forward(self, report: Report) -> None:
        """What the trainer says waits for what it said before, not for reports that only hold what the gang uses."""
        if _progress(report) != self._shown:
            self._due = min(self._due, max(self._held_until, self._shown_at + self._interval))

    def _say_once(self, kind: str, text: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            say(f"the operator's intake {text}; training goes on")


def _headline(report: Report) -> _Headline:
    """What the operator waits for: which generation, how it stands, who is missing, and whether it goes on."""
    return report.generation, report.state, report.unreachable, report.stalled is not None


def _progress(report: Report) -> object:
    """What the trainer has said, without what moves by itself (speed, time to go)."""
    training = report.training
    return None if training is None else (training.step, training.epoch, training.metrics)
