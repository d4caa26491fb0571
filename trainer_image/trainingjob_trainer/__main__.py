"""`python3 -m trainingjob_trainer`: trains what TRAININGJOB_SPEC says.

Exit codes: 0 done, 1 something the user can mend, 75 a peer was lost or this trainer was replaced, 77 told to stop
and saved.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import NoReturn

import trainingjob
from trainingjob._checkpoint_fence import FencedError
from trainingjob._stack import show_on_signal
from trainingjob_trainer.cluster import connect, member_of, quiet_tensorflow
from trainingjob_trainer.document import VARIABLE, parse
from trainingjob_trainer.errors import ProgramError, SpecError, one_line

USER_ERROR, PEER_LOST = 1, 75


def main() -> int:
    """Train, or evaluate beside the training; return the exit code."""
    show_on_signal()
    quiet_tensorflow()
    document = parse(os.environ.get(VARIABLE, ""))
    member = member_of(os.environ)
    cluster = connect(member, document.communication)
    # TensorFlow takes the signal when it makes a strategy, and does nothing with it. There is nothing to save yet.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if member.evaluator:
        from trainingjob_trainer.evaluator import follow

        return follow(document, cluster)
    from trainingjob_trainer.job import build_job
    from trainingjob_trainer.loop import Loop

    with trainingjob.busy("starting"):
        job = build_job(document, cluster)
    return Loop(job).run()


def run() -> int:
    """Run `main`; what went wrong becomes one line on stderr and an exit code."""
    try:
        return main()
    except FencedError as error:  # which has said why
        return int(error.code or 0)
    except SpecError as error:
        return _fail(str(error))
    except ProgramError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        return _fail(str(error))
    except Exception as error:
        return _judge(error)


def _judge(error: Exception) -> int:
    import tensorflow as tf

    from trainingjob_trainer.data import explain

    found = explain(error)
    if found is not None:
        return _fail(str(found))
    lost = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.DeadlineExceededError,
        tf.errors.CancelledError,
    )
    if isinstance(error, lost) and "TF_CONFIG" in os.environ:
        print(f"a peer was lost: {one_line(error.message)}", file=sys.stderr, flush=True)
        return PEER_LOST
    if isinstance(error, tf.errors.OpError):
        return _fail(f"TensorFlow: {type(error).__name__}: {one_line(error.message)}")
    traceback.print_exception(type(error), error, error.__traceback__, limit=-8)
    return _fail(f"{type(error).__name__}: {one_line(error)}")


def _fail(line: str) -> int:
    print(f"error: {line}", file=sys.stderr, flush=True)
    return USER_ERROR


def leave(code: int) -> NoReturn:
    """End at once. TensorFlow's teardown takes a second, and waits for peers that are gone."""
    trainingjob.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(run())
