"""TF_CONFIG for one member of a generation. Pure."""

from __future__ import annotations

import json
from typing import List, Optional, Sequence, Tuple


def tf_config(member: str, addresses: Sequence[Tuple[str, str]]) -> Optional[str]:
    """Return TF_CONFIG of `member` in the cluster of `addresses`, (member, HOST:PORT) pairs in any order.

    Workers get contiguous indices in the order of their own: with worker-1 absent, worker-2 is task 1 of the
    cluster. None for a chief alone: MultiWorkerMirroredStrategy then trains in this one process. The evaluator
    is told of the cluster and is not in it, as TensorFlow's convention has it.

    Raises:
        ValueError: `member` is not in `addresses`, two have the same name, or there is no chief.
    """
    chiefs: List[str] = [address for name, address in addresses if name == "chief-0"]
    workers = sorted((int(name.partition("-")[2]), address) for name, address in addresses if name[:7] == "worker-")
    ranks = [number for number, _ in workers]
    if len(chiefs) != 1 or len(set(ranks)) != len(ranks) or len(chiefs) + len(ranks) != len(addresses):
        raise ValueError(f"{[name for name, _ in addresses]} is no gang: one chief and workers, each once")
    role, _, number = member.partition("-")
    cluster = {"chief": chiefs}
    if workers:
        cluster["worker"] = [address for _, address in workers]
    if role == "evaluator":
        return json.dumps({"cluster": cluster, "task": {"type": role, "index": int(number)}})
    if member not in [name for name, _ in addresses]:
        raise ValueError(f"{member} is not in {[name for name, _ in addresses]}")
    if not workers:
        return None
    index = 0 if role == "chief" else ranks.index(int(number))
    return json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})
