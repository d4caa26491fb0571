"""What the chief tells of its gang, and when it is silent."""

from __future__ import annotations

from pathlib import Path

from tests.unit.launcher.machines import hello
from trainingjob_launcher import gang
from trainingjob_launcher.contract import Assignment, Report, Training
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
