"""Runs functions of the scripts in deploy/ the way the scripts do."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class ShellError(Exception):
    """The script ended with an error; the text is what it said."""


def call(command: str, *sources: str, home: Path, environment: dict[str, str] | None = None) -> str:
    """Return what `command` prints after deploy/lib.sh and `sources` were sourced; folders of the user lie in `home`."""
    lines = [f'source "{ROOT}/deploy/lib.sh"', f'LOCAL="{ROOT}/deploy/local"']
    lines += [f'source "{ROOT}/deploy/{source}"' for source in sources]
    done = subprocess.run(
        ["bash", "-c", "\n".join([*lines, command])],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **(environment or {})},
    )
    if done.returncode:
        raise ShellError(done.stderr)
    return done.stdout.strip()
