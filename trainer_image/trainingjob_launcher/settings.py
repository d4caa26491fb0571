"""The launcher's own times, in one place. They are not part of the contract: the operator does not set them."""

from __future__ import annotations

import dataclasses
import math
from typing import Dict, Mapping

from trainingjob_launcher.contract import ContractError

_VARIABLES: Dict[str, str] = {
    "TRAININGJOB_HEARTBEAT_SECONDS": "heartbeat",
    "TRAININGJOB_SILENCE_SECONDS": "silence",
    "TRAININGJOB_JUDGE_SECONDS": "judge",
    "TRAININGJOB_FINISH_SECONDS": "finish",
    "TRAININGJOB_EVALUATE_SECONDS": "evaluate",
    "TRAININGJOB_GRACE_SECONDS": "grace",
    "TRAININGJOB_RECONNECT_SECONDS": "reconnect",
    "TRAININGJOB_PATIENCE_SECONDS": "patience",
    "TRAININGJOB_LAST_REPORT_SECONDS": "last_report",
    "TRAININGJOB_USAGE_SECONDS": "usage",
    "TRAININGJOB_HOLD_SECONDS": "hold",
    "TRAININGJOB_SILENT_SECONDS": "silent",
}


@dataclasses.dataclass(frozen=True)
class Timings:
    """All in seconds."""

    #: Each side of a connection sends a heartbeat this often.
    heartbeat: float = 1.0
    #: A peer that was silent for so long is lost. TensorFlow itself notices a frozen peer after 8 s.
    silence: float = 5.0
    #: A connection that has not proved who it is by then is dropped.
    handshake: float = 5.0
    #: How long a failure that looks like another's waits for the first cause: longer than `silence`.
    judge: float = 6.0
    #: How long workers may take to end after the chief's trainer has ended with 0.
    finish: float = 60.0
    #: How long the end waits for the evaluator after the chief's trainer has ended with 0.
    evaluate: float = 60.0
    #: How long members may take to stop at the end, trainers being killed at once.
    ending: float = 5.0
    #: From SIGTERM to SIGKILL of the trainer. The pod's own grace period (40 s) must be longer.
    grace: float = 25.0
    #: How long the one whose trainer still runs has to speak when all others have ended with echoes.
    last_word: float = 2.0
    #: How long a killed trainer may take to go: its memory, and its GPU's, has to be given back.
    kill: float = 30.0
    #: How long a member that is asked to go waits for the chief's word before it stops its trainer by itself.
    leave: float = 2.0
    #: A member that has lost its chief tells the operator this often, and first after so long.
    notice: float = 2.0
    #: How often the operator is asked whether this is still the chief. Its yes holds five times as long.
    confirm: float = 2.0
    #: A gang that has fewer members than it wants does not grow in its first seconds.
    hold: float = 30.0
    #: A program that never tells a step counts as started after so long.
    silent: float = 60.0
    #: The longest back-off between restarts that bring no new step.
    backoff: float = 30.0
    #: How long the collection of stacks may take.
    inspect: float = 3.0
    #: When a member that had a chief says that it waits for the next.
    reconnect: float = 60.0
    #: How often a launcher that waits says for whom.
    patience: float = 10.0
    #: How long the end of the job may wait for the last report.
    last_report: float = 5.0
    #: How often a member measures what it uses, and tells the chief.
    usage: float = 5.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Timings:
        """Read the times that have a variable.

        Raises:
            ContractError: a value is not a positive number; the text names the variable.
        """
        values: Dict[str, float] = {}
        for variable, name in _VARIABLES.items():
            text = env.get(variable, "")
            if not text:
                continue
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not 0 < value < 1e6:
                raise ContractError(variable, f"is {text!r}, must be a positive number of seconds")
            values[name] = value
        return cls(**values)
