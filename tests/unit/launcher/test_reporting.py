"""What the chief tells of its gang, and when it is silent."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.launcher.machines import Gang, hello
from tests.unit.launcher.processes import PATIENCE
from trainingjob_launcher import gang
from trainingjob_launcher.contract import Assignment, Failure, Report, Training
from trainingjob_launcher.messages import TrainerExit
from trainingjob_launcher.reporting import Reporting


async def test_how_it_ends_only_the_last_word_says(tmp_path: Path) -> None:
    """What runs no more is not a gang that forms: the job would be shown as restarting just before its success."""
    file = tmp_path / "report.json"
    assignment = Assignment("digits", "ml", "uid", "chief", 0, 1, 0, "00" * 16, report_url=file.as_uri())
    reporting = Reporting(assignment, Training, lambda _: None, lambda _: None)
    running, _ = gang.begin(gang.Settings(("chief-0",)), hello("chief-0"), 0.0)
    reporting.tell(running)
    done, actions = gang.step(running, gang.TrainerExited(gang.CHIEF, 1, TrainerExit(0)), 1.0)
    assert isinstance(done, gang.Done)
    reporting.tell(done)
    finish = actions[-1]
    assert isinstance(finish, gang.Finish)
    reporting.finish(done, finish, {"TRAININGJOB_TERMINATION_PATH": str(tmp_path / "termination")}, 10.0)
    last = Report.decode(file.read_bytes())
    assert (last.state, last.final) == ("Succeeded", True)
    assert last.sequence == 2, "nothing was told between the generation's beginning and its end"


class Told:
    """The reports of a chief whose operator is a folder: each is taken away when it is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        url = folder.as_uri() + "/"
        assignment = Assignment("digits", "ml", "uid", "chief", 0, 1, 0, "00" * 16, report_url=url)
        self._fed: asyncio.Queue[gang.Event] = asyncio.Queue()
        self.reporting = Reporting(assignment, Training, lambda _: None, self._fed.put_nowait)

    async def of(self, state: gang.State, generation: int) -> Report:
        """Tell a state, by a question so that it need not wait its turn; return the report that has arrived."""
        self.reporting.ask(state, generation)
        assert await asyncio.wait_for(self._fed.get(), PATIENCE) == gang.Confirmed(generation)
        files = sorted(path for path in self._folder.iterdir() if "." not in path.name)
        report = Report.decode(files[-1].read_bytes())
        for path in files:
            path.unlink()
        return report


async def test_all_reports_of_a_generation_say_why_the_one_before_it_ended(tmp_path: Path) -> None:
    """The operator may have been away, or its replica may have died with the word. The log lines go until heard."""
    told = Told(tmp_path)
    play = Gang(workers=0).started(10)
    assert (await told.of(play.state, 1)).failure is None
    play.ended("chief-0", TrainerExit(9, log_lines=("one", "two")))
    cause = play.cause()
    told.reporting.failed(cause)
    assert play.state.generation == 2
    first = await told.of(play.state, 2)
    assert first.state == "Running"
    assert first.failure == cause == Failure(
        "chief-0", "TrainerFailed", "the trainer ended with exit code 9: two", 9, None, 1, ("one", "two")
    )  # fmt: skip
    for _ in range(2):
        later = (await told.of(play.state, 2)).failure
        assert later is not None
        assert (later.member, later.reason, later.generation, later.last_log_lines) == (
            "chief-0",
            cause.reason,
            1,
            (),
        )
