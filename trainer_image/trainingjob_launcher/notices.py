"""A worker's word to the operator that it has lost its chief: the chief itself can't say so any more."""

from __future__ import annotations

import itertools
import threading
from typing import Optional

from trainingjob_launcher.contract import Assignment, ContractError, Report
from trainingjob_launcher.log import say
from trainingjob_launcher.reporter import Post, door


class Notices:
    """Posts one notice at a time, each in a thread of its own; while one is under way the next is left out."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._sequence = itertools.count(1)
        self._thread: Optional[threading.Thread] = None
        self._post: Optional[Post] = None
        self._silent = False
        # A file, where there is no operator, is the chief's.
        if assignment.report_url.startswith("https:"):
            try:
                self._post = door(assignment.report_url, assignment.report_ca, assignment.report_token_file)
            except ContractError as error:
                say(f"the operator can't be told when the chief is lost: {error}")

    def post(self, chief_incarnation: int, generation: int) -> None:
        """Say it once, without waiting."""
        post = self._post
        if post is None or (self._thread is not None and self._thread.is_alive()):
            return
        report = Report(
            member=self._assignment.member,
            incarnation=self._assignment.incarnation,
            generation=generation,
            sequence=next(self._sequence),
            state="ChiefLost",
            chief_incarnation=chief_incarnation,
        )
        self._thread = threading.Thread(target=self._run, args=(post, report), name="notice", daemon=True)
        self._thread.start()

    def _run(self, post: Post, report: Report) -> None:
        try:
            answer = post(report.encode())
        except Exception as error:  # a thread has nobody to raise to
            self._say(f"can't be reached: {error}")
        else:
            if not answer.taken:
                self._say(f"answered {answer.status}")

    def _say(self, what: str) -> None:
        if not self._silent:
            self._silent = True
            say(f"the operator could not be told that the chief is lost: it {what}; it is tried again")
