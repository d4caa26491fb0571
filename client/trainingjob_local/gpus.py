"""Which GPUs each member sees. In a cluster every member has its own; here they are dealt out.

Two TensorFlow processes on one GPU do not go together: the first takes all of its memory, and NCCL refuses a GPU that
is there twice.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence

VARIABLE = "CUDA_VISIBLE_DEVICES"
NONE = "-1"


def visible(shell: Mapping[str, str]) -> list[str]:
    """Return the GPUs that a process of this shell sees, as `CUDA_VISIBLE_DEVICES` names them."""
    given = shell.get(VARIABLE)
    if given is not None:
        return [device for device in given.split(",") if device and device != NONE]
    program = shutil.which("nvidia-smi", path=shell.get("PATH"))
    if program is None:
        return []
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(index) for index, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def deal(devices: Sequence[str], members: Sequence[str], beside: Sequence[str] = ()) -> dict[str, str]:
    """Return the variable of each member; empty when nothing is to be set.

    `beside` are processes that are no members, the evaluator: they get GPUs when there are enough for all.
    """
    everyone = [*members, *beside]
    if not devices or len(everyone) == 1:
        return {}
    served = next((group for group in (everyone, members) if len(group) <= len(devices)), [])
    share = len(devices) // len(served) if served else 0
    out = dict.fromkeys(everyone, NONE)
    for index, name in enumerate(served):
        out[name] = ",".join(devices[index * share : (index + 1) * share])
    return out
