"""How failures are judged and restarts made: the spec's failurePolicy and elastic, as launchers get them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Mapping, Optional, Tuple

from trainingjob_launcher.fields import ContractError, count, mapping, optional_amount, optional_count, short

RESTART = "Restart"
RESTART_FREE = "RestartFree"
FAIL = "Fail"
IGNORE = "Ignore"
ACTIONS = (RESTART, RESTART_FREE, FAIL, IGNORE)
_PATH = "TRAININGJOB_POLICY"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What to do about failures with one of these exit codes, or one of these reasons. One of the two is empty."""

    action: str
    exit_codes: Tuple[int, ...] = ()
    reasons: Tuple[str, ...] = ()

    def fits(self, reason: str, exit_code: Optional[int]) -> bool:
        """Whether this rule speaks of such a failure."""
        return reason in self.reasons or (exit_code is not None and exit_code in self.exit_codes)

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types."""
        values = {"exitCodes": list(self.exit_codes), "reasons": list(self.reasons)}
        return {"action": self.action, **{name: value for name, value in values.items() if value}}

    @classmethod
    def from_json(cls, value: Any, path: str) -> Rule:
        """Read what `to_json` wrote; raises ContractError."""
        document = mapping(value, path)
        action = document.get("action")
        if action not in ACTIONS:
            raise ContractError(f"{path}.action", f"is {short(action)}, must be one of {', '.join(ACTIONS)}")
        codes, reasons = document.get("exitCodes", []), document.get("reasons", [])
        if not isinstance(codes, list) or not all(type(code) is int for code in codes):
            raise ContractError(f"{path}.exitCodes", "must be a list of whole numbers")
        if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
            raise ContractError(f"{path}.reasons", "must be a list of texts")
        return cls(action, tuple(codes), tuple(reasons))


@dataclasses.dataclass(frozen=True)
class Policy:
    """`min_workers` is None for a gang that is not elastic. Times are seconds; `stall` is None for never.

    `backoff_limit` is how many counted failures the job survives. `checkpoints` says whether the training saves its
    state: without that, nobody stops a smaller gang to let it grow.
    """

    backoff_limit: int = 6
    rules: Tuple[Rule, ...] = ()
    stall: Optional[float] = None
    warm_standby: bool = False
    min_workers: Optional[int] = None
    elastic_wait: float = 60.0
    checkpoints: bool = False

    def rule_for(self, reason: str, exit_code: Optional[int]) -> Optional[str]:
        """Return the action of the first rule that fits, None for none."""
        return next((rule.action for rule in self.rules if rule.fits(reason, exit_code)), None)

    def encode(self) -> str:
        """Return the policy as the text that travels."""
        values: Dict[str, Any] = {
            "backoffLimit": self.backoff_limit,
            "rules": [rule.to_json() for rule in self.rules],
            "stallSeconds": self.stall,
            "warmStandby": self.warm_standby or None,
            "minWorkers": self.min_workers,
            "waitSeconds": self.elastic_wait if self.min_workers is not None else None,
            "checkpoints": self.checkpoints or None,
        }
        kept = {name: value for name, value in values.items() if value not in (None, [])}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Policy:
        """Read what `encode` wrote; "" is the default policy.

        Raises:
            ContractError: not a JSON object, or a field is wrong.
        """
        if not text:
            return cls()
        try:
            document: Mapping[str, Any] = mapping(json.loads(text), _PATH)
        except (ValueError, RecursionError) as error:
            raise ContractError(_PATH, "must be a JSON object") from error
        rules = document.get("rules", [])
        if not isinstance(rules, list):
            raise ContractError(f"{_PATH}.rules", "must be a list")
        wait = optional_amount(document, "waitSeconds", _PATH, 1e9)
        return cls(
            backoff_limit=count(document, "backoffLimit", f"{_PATH}.backoffLimit"),
            rules=tuple(Rule.from_json(rule, f"{_PATH}.rules[{at}]") for at, rule in enumerate(rules)),
            stall=optional_amount(document, "stallSeconds", _PATH, 1e9),
            warm_standby=document.get("warmStandby") is True,
            min_workers=optional_count(document, "minWorkers", _PATH),
            elastic_wait=60.0 if wait is None else wait,
            checkpoints=document.get("checkpoints") is True,
        )
