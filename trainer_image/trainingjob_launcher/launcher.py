"""From the command line to the exit code: reads the assignment and runs the chief's or a member's launcher."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from typing import Mapping, Sequence, Tuple

from trainingjob_launcher.chief import Chief
from trainingjob_launcher.contract import Assignment, ContractError
from trainingjob_launcher.log import say
from trainingjob_launcher.settings import Timings
from trainingjob_launcher.shell import Start
from trainingjob_launcher.worker import Worker

USAGE = "usage: python -m trainingjob_launcher -- COMMAND [ARGUMENT...]"
USAGE_CODE = 2


def main(arguments: Sequence[str], env: Mapping[str, str] = os.environ) -> int:
    """Run a member's launcher to its end and return its exit code.

    0: the job succeeded. The trainer's own code: this member's trainer was the first cause of the failure. 1: the
    member was stopped because of another's failure. 143: terminated. 2: started wrongly.
    """
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        say(USAGE)
        return USAGE_CODE
    try:
        assignment = Assignment.from_env(env)
        if not re.fullmatch(r"(?:[0-9a-fA-F]{2}){16,}", assignment.key):
            raise ContractError("TRAININGJOB_KEY", "must be at least 16 bytes in hex")
        start = Start(assignment, command, env, Timings.from_env(env))
        code, clean = asyncio.run(_run(start))
    except ContractError as error:
        say(f"this member can't start: {error}")
        return USAGE_CODE
    if not clean:
        # A driver hangs in a call, and may hold a lock that its library wants at a process's end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


async def _run(start: Start) -> Tuple[int, bool]:
    shell = Chief(start) if start.assignment.role == "chief" else Worker(start)
    return await shell.run(), shell.stop_measuring()
