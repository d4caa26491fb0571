"""What the pages promise is there: reasons, files and make targets that they name."""

import re
from pathlib import Path

import pytest

from trainingjob_operator.api.names import Condition, Phase, Reason

ROOT = Path(__file__).resolve().parents[2]
STATUS = (ROOT / "docs/status.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "charts/trainingjob-operator/README.md"])
#: Reasons of conditions that go with a phase and need no line of their own.
PLAIN = {
    "SpecAccepted", "MembersRunning", "MembersFinished", "GangForming", "NotStarted", "Finished", "InProgress",
    "ChiefSucceeded", "JobFailed", "JobSucceeded",
}  # fmt: skip


def test_every_phase_and_condition_is_explained() -> None:
    assert [word for word in (*Phase, *Condition) if word not in STATUS] == []


def test_every_reason_that_needs_an_answer_is_explained() -> None:
    assert [reason for reason in Reason if reason not in STATUS and reason not in PLAIN] == []


def test_every_reason_of_the_launcher_is_explained() -> None:
    found: set[str] = set()
    for path in (ROOT / "trainer_image/trainingjob_launcher").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'(?:Failure|TrainerExit|MemberLost)\([^()]*?"([A-Z][a-z]+(?:[A-Z][a-z]+)+)"', text))
        found |= set(re.findall(r'reason(?:: str)? = "([A-Z]\w+)"', text))
    assert found, "the launcher's reasons are written in another way now: mend this test"
    assert [reason for reason in sorted(found) if reason not in STATUS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_commands_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`?make (?:-s )?([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named - targets - {"and"} == set()
