"""Where a stuck program is: on SIGUSR2 all its threads' Python stacks go to the launcher, also from inside of C code.

The launcher leaves a file descriptor to the trainer and names it in TRAININGJOB_STACK_FD. The first Python of the
trainer takes it and removes the name from the environment, for other programs below it would take a file of their own
for it. It is moved to a high number: programs that count or close their descriptors begin with the low ones.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import MutableMapping

VARIABLE = "TRAININGJOB_STACK_FD"
#: Tried in this order; the limit of open files may be below.
HIGH = (1000, 200, 3)


def show_on_signal(environ: MutableMapping[str, str] = os.environ) -> bool:
    """Have SIGUSR2 write the stacks to the launcher; return whether it will. Never raises."""
    text = environ.pop(VARIABLE, "")
    if not text.isdecimal():
        return False
    import faulthandler
    import fcntl
    import signal

    given = int(text)
    for number in HIGH:
        try:
            moved = fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, number)
            break
        except (OSError, OverflowError):
            continue
    else:
        return False  # it was closed on the way here
    os.close(given)
    try:
        faulthandler.register(signal.SIGUSR2, file=moved, all_threads=True, chain=False)
    except (OSError, ValueError, RuntimeError, AttributeError):
        os.close(moved)
        return False
    return True
