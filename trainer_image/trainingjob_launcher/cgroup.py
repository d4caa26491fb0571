"""Where the kernel keeps the books of this container: the folders of our control group, of version 2 and version 1.

/proc/self/cgroup names our group per controller, /proc/self/mountinfo says where each hierarchy is mounted and which
part of it: in a container of version 1 the mount begins at the container's own group, of which the path still tells
the host's name. Hybrid machines have the controllers in version 1 and an empty version 2 beside them.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Dict, List, Optional, Tuple

#: The name of version 2, which has all its controllers in one hierarchy.
V2 = ""
#: From our own folder up to the mount point.
Folders = Tuple[Path, ...]
_MAX_BYTES = 64 * 1024


def own_groups(root: Path = Path("/")) -> Dict[str, Folders]:
    """Return the folders of our group for each controller of version 1 and for `V2`, the own one first.

    `root` is where /proc and /sys are.
    """
    mounts = read_mounts(read(root / "proc/self/mountinfo"))
    groups: Dict[str, Folders] = {}
    for controller, path in read_groups(read(root / "proc/self/cgroup")).items():
        found = mounts.get(controller)
        if found:
            top, point = max(found, key=lambda mount: (_is_under(path, mount[0]), len(mount[0])))
            groups[controller] = _chain(root / point.lstrip("/"), _below(path, top))
    return groups


def read_groups(text: str) -> Dict[str, str]:
    """Read /proc/PID/cgroup, lines like `4:cpu,cpuacct:/docker/x` and `0::/`: controller to path."""
    groups: Dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon or not path.startswith("/"):
            continue
        if number == "0" and not controllers:
            groups[V2] = path
        groups.update({controller: path for controller in controllers.split(",") if controller})
    return groups


def read_mounts(text: str) -> Dict[str, List[Tuple[str, str]]]:
    """Read /proc/PID/mountinfo: controller to (which group the mount begins with, mount point)."""
    mounts: Dict[str, List[Tuple[str, str]]] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mount = (_unescaped(fields[3]), _unescaped(fields[4]))
        for controller in kind[2].split(",") if kind[0] == "cgroup" else (V2,):
            mounts.setdefault(controller, []).append(mount)
    return mounts


def read(path: Path) -> str:
    """Return a small file's text, "" if it can't be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace").strip()
    except (OSError, ValueError):
        return ""


def number(text: str) -> Optional[int]:
    """Return a count that the kernel wrote, None for anything else: `max`, -1, nothing."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def _is_under(path: str, top: str) -> bool:
    return top == "/" or path == top or path.startswith(top + "/")


def _below(path: str, top: str) -> List[str]:
    """Return the path from a mount's top to our group. What lies elsewhere is not visible: the top is all we have."""
    rest = path[len(top) :] if _is_under(path, top) else ""
    return [part for part in PurePosixPath(rest).parts if part not in ("/", "..")]


def _chain(point: Path, parts: List[str]) -> Folders:
    return tuple(point.joinpath(*parts[:length]) for length in range(len(parts), -1, -1))
