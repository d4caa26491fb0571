"""The termination message: the last report once more, where the kubelet finds it when the container has ended."""

from __future__ import annotations

import os
from typing import Mapping

from trainingjob_launcher.contract import MAX_TERMINATION_BYTES, ContractError, Report
from trainingjob_launcher.log import say

PATH_VARIABLE = "TRAININGJOB_TERMINATION_PATH"
DEFAULT_PATH = "/dev/termination-log"


def write_termination_message(report: Report, env: Mapping[str, str]) -> None:
    """Write the report, cut to what the kubelet keeps. Outside a pod there is no file, and nothing is written."""
    path = env.get(PATH_VARIABLE) or DEFAULT_PATH
    if not env.get(PATH_VARIABLE) and not os.path.exists(path):
        return
    try:
        # Never made anew: where the kubelet does not look nobody reads.
        flags = os.O_WRONLY | os.O_TRUNC | (os.O_CREAT if env.get(PATH_VARIABLE) else 0)
        descriptor = os.open(path, flags, 0o644)
        try:
            os.write(descriptor, report.encode(MAX_TERMINATION_BYTES))
        finally:
            os.close(descriptor)
    except (OSError, ContractError) as error:
        say(f"the termination message could not be written to {path}: {error}")
