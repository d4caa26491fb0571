"""Who this process is among the trainers of its job: read from TF_CONFIG, TRAININGJOB_MEMBER and TRAININGJOB_UID."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import zlib
from typing import Any, Dict, Mapping


@dataclasses.dataclass(frozen=True)
class Gang:
    """`rank` of this member of `size`; the chief is 0, worker i is i + 1. An evaluator is a gang of its own.

    `seed` is the same for all members and all generations of a job. Jobs without checkpoints have different ones;
    with checkpoints it follows from their place, so that another job goes on with the same shuffles there.
    """

    rank: int = 0
    size: int = 1
    role: str = "chief"
    seed: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this member writes what the gang shares: files, checkpoints, reports."""
        return self.rank == 0 and self.role != "evaluator"


def read(environ: Mapping[str, str]) -> Gang:
    """Return the gang that `environ` describes; a chief alone when it describes none.

    Raises:
        ValueError: TF_CONFIG is not the JSON that TensorFlow asks for.
    """
    seed = _seed(environ)
    if environ.get("TRAININGJOB_MEMBER", "").startswith("evaluator"):
        return Gang(role="evaluator", seed=seed)
    text = environ.get("TF_CONFIG", "")
    if not text:
        return Gang(seed=seed)
    try:
        config: Dict[str, Any] = json.loads(text)
        cluster = {role: list(config["cluster"].get(role, [])) for role in ("chief", "worker")}
        role, index = str(config["task"]["type"]), int(config["task"]["index"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"TF_CONFIG is {text!r}, it must hold cluster and task: {error!r}") from error
    if role not in cluster:
        return Gang(role=role, seed=seed)
    rank = index if role == "chief" else len(cluster["chief"]) + index
    return Gang(rank=rank, size=len(cluster["chief"]) + len(cluster["worker"]), role=role, seed=seed)


def _seed(environ: Mapping[str, str]) -> int:
    basis = environ.get("TRAININGJOB_UID", "")
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        basis = json.loads(environ.get("TRAININGJOB_SPEC", "{}")).get("checkpoint", {}).get("path") or basis
    return zlib.crc32(basis.encode()) & 0x7FFFFFFF
