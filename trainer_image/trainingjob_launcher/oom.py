"""Whether the kernel has killed the trainer for want of memory: it counts such kills, for each control group.

Kubernetes says OOMKilled only when the container ends, and this one goes on: its launcher starts the trainer again.
Where there is no container of our own, or no count, nothing is claimed.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Mapping, Optional

from trainingjob_launcher.cgroup import V2, Folders, own_groups, read
from trainingjob_launcher.standby import Standby
from trainingjob_launcher.usage import read_stat

#: How a process ends that was killed, and a shell whose last command was.
KILLED_CODE = 128 + signal.SIGKILL


def read_kills(groups: Mapping[str, Folders]) -> Optional[int]:
    """Return how many processes of our group were ever killed for want of memory, None when nobody counts.

    Version 2 counts those of groups beneath ours too; a controller that version 1 has is not in version 2.
    """
    if "memory" in groups:
        return read_stat(read(groups["memory"][0] / "memory.oom_control")).get("oom_kill")
    folders = groups.get(V2, ())
    return read_stat(read(folders[0] / "memory.events")).get("oom_kill") if folders else None


class Kills:
    """Tells whether there were any since a trainer has begun. For the event loop's thread."""

    def __init__(self, in_container: bool, root: Path = Path("/")) -> None:
        """`in_container` says whether our control group is ours alone; `root` is where /proc and /sys are."""
        self._groups = own_groups(root) if in_container else {}
        self._known: Optional[int] = None

    def begin(self) -> None:
        """A trainer begins: what was before has nothing to do with it."""
        self._known = read_kills(self._groups)

    def excuse(self) -> None:
        """Somebody else was killed: if that was for want of memory, one of the kills was not the trainer's."""
        now = read_kills(self._groups)
        if now is not None and self._known is not None:
            self._known = min(now, self._known + 1)

    def happened(self) -> bool:
        """Whether a process was killed since, other than those that are excused."""
        now = read_kills(self._groups)
        return now is not None and self._known is not None and now > self._known


class Excused:
    """The warm standby as a child that is waited for. When memory is short it goes first, and not the trainer."""

    def __init__(self, standby: Standby, kills: Kills) -> None:
        self._standby = standby
        self._kills = kills

    @property
    def pid(self) -> Optional[int]:
        """The waiting process, None without one."""
        return self._standby.pid

    def collected(self, returncode: int) -> None:
        """It has ended and was reaped."""
        if returncode == -signal.SIGKILL:
            self._kills.excuse()
        self._standby.collected(returncode)
