"""The launcher as one file for images that do not hold it: a zipapp, from the same sources always the same bytes.

It holds the launcher, what user programs may import (`trainingjob`, without its data), and the Keras hooks. Sources
only: compiled files would be good for one Python version. The operator's image carries these packages beside its own.
"""

import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from trainingjob_operator.core.launcher_source import LauncherArchive

PACKAGES = ("trainingjob", "trainingjob_hooks", "trainingjob_launcher")
#: What Python runs when it is given the file. Any Python 3 can read it: the launcher's check speaks for the old ones.
MAIN = 'import runpy\nrunpy.run_module("trainingjob_launcher", run_name="__main__", alter_sys=True)\n'
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644


class ArchiveError(Exception):
    """A package of the archive is not installed beside the operator."""


def build() -> LauncherArchive:
    """Build the archive from the packages beside this one.

    Raises:
        ArchiveError: one of them is missing.
    """
    files = {"__main__.py": MAIN.encode()}
    for package in PACKAGES:
        files |= dict(_sources(package))
    return LauncherArchive(pack(files))


def pack(files: dict[str, bytes]) -> bytes:
    """Return a zip file of these files: ordered by name, without times, owners or anything of this machine."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = 3  # Unix, on whatever it is built
            entry.external_attr = _MODE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return out.getvalue()


def _sources(package: str) -> Iterator[tuple[str, bytes]]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ArchiveError(
            f"package {package} is not beside the operator: its image must hold it (operator/Dockerfile), a source "
            "tree has it in trainer_image/"
        )
    root = Path(spec.submodule_search_locations[0])
    for path in root.rglob("*.py"):
        if path.is_file():
            yield path.relative_to(root.parent).as_posix(), path.read_bytes()
