"""What stands idle: of our processors, and within the quota; what can't be known is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainingjob_launcher.spare import Spare

TICKS = 100


class Machine:
    """Four processors, of which we may run on 1 and 2, and our container's books."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 50.0
        self.used: float | None = 7.0
        self.idle = [0.0, 0.0, 0.0, 0.0]
        (root / "proc").mkdir()
        self.write()

    def write(self) -> None:
        # cpu, user, nice, system, idle, iowait, irq …
        rows = [f"cpu{i} 5 0 5 {round(idle * TICKS)} {TICKS} 0 3 0 0 0" for i, idle in enumerate(self.idle)]
        (self.root / "proc/stat").write_text("\n".join(["cpu  9 9 9 999999 9 9", *rows, "intr 12345", "ctxt 1"]))

    def later(self, seconds: float, *idle: float, used: float = 0.0) -> None:
        self.now += seconds
        self.idle = [before + more for before, more in zip(self.idle, idle, strict=True)]
        self.used = None if self.used is None else self.used + used
        self.write()

    def spare(self, limit: float | None = None) -> Spare:
        return Spare(limit, lambda: self.used, {1, 2}, self.root, lambda: self.now)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_of_the_processors_that_are_ours_since_the_last_call(machine: Machine) -> None:
    spare = machine.spare()
    machine.later(2.0, 2, 1, 0.5, 2)
    assert spare() == pytest.approx(0.75)
    machine.later(4.0, 4, 0, 0, 4)
    assert spare() == 0.0


def test_no_more_than_the_quota_has_left(machine: Machine) -> None:
    spare = machine.spare(limit=1.5)
    machine.later(2.0, 2, 2, 2, 2, used=2.0)
    assert spare() == pytest.approx(0.5)
    machine.later(2.0, 2, 2, 2, 2, used=4.0)
    assert spare() == 0.0


def test_nothing_where_it_cannot_be_known(machine: Machine) -> None:
    quota, machine.used = machine.spare(limit=1.5), None
    machine.later(2.0, 2, 2, 2, 2)
    assert quota() == 0.0
    whole = machine.spare()
    (machine.root / "proc/stat").unlink()
    machine.now += 1
    assert whole() == 0.0
    assert machine.spare()() == 0.0, "no time has passed"
