"""Who this process is in its gang, and the strategy that joins it to the others.

One member on a CPU or one GPU needs no strategy; several GPUs in one member are MirroredStrategy's; several members
are MultiWorkerMirroredStrategy's, with one replica for each accelerator, or one for a member without.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_trainer.errors import SpecError


@dataclass(frozen=True)
class Member:
    """This process's place in the gang. The chief is rank 0; the evaluator is no member and has rank 0 of 1."""

    rank: int = 0
    members: int = 1
    evaluator: bool = False

    @property
    def is_chief(self) -> bool:
        """Whether this member writes checkpoints and the model, reports and prints."""
        return self.rank == 0 and not self.evaluator


def member_of(env: Mapping[str, str]) -> Member:
    """Read TF_CONFIG, which a member alone does not have, and TRAININGJOB_MEMBER.

    Raises:
        SpecError: TF_CONFIG is no cluster that this member is in.
    """
    text = env.get("TF_CONFIG", "")
    try:
        config = json.loads(text) if text else {}
        task, cluster = config.get("task", {}), config.get("cluster", {})
        kind, index = task.get("type", "chief"), int(task.get("index", 0))
        order = [("chief", i) for i in range(len(cluster.get("chief", [])))]
        order += [("worker", i) for i in range(len(cluster.get("worker", [])))]
    except (ValueError, TypeError, AttributeError) as error:
        raise SpecError("TF_CONFIG", f"cannot be read: {error}") from None
    if kind == "evaluator" or env.get("TRAININGJOB_MEMBER", "").startswith("evaluator-"):
        return Member(evaluator=True)
    if not order:
        return Member()
    if (kind, index) not in order:
        raise SpecError("TF_CONFIG", f"has no {kind} {index} in its cluster of {len(order)}")
    return Member(order.index((kind, index)), len(order))


@dataclass(frozen=True)
class Cluster:
    """The member and its strategy. Replica r of this member is number `first_replica + r` of all."""

    member: Member
    strategy: Any
    local_replicas: int
    on_gpu: bool

    @property
    def replicas(self) -> int:
        """Replicas of the whole gang; every member has equally many."""
        return self.local_replicas * self.member.members

    @property
    def first_replica(self) -> int:
        """Number of this member's first replica among all."""
        return self.local_replicas * self.member.rank


def connect(member: Member, communication: str) -> Cluster:
    """Make the strategy; with several members this waits until all are there. Comes before anything else TensorFlow.

    Args:
        member: this process.
        communication: auto, ring or nccl.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if member.evaluator:
        return Cluster(member, tf.distribute.get_strategy(), 1, bool(gpus))
    if member.members > 1:
        kinds = tf.distribute.experimental.CommunicationImplementation
        kind = {"auto": kinds.AUTO, "ring": kinds.RING, "nccl": kinds.NCCL}[communication]
        if communication == "nccl" and not gpus:
            raise SpecError(
                "spec.communication", "is 'nccl', which needs GPUs, and this member sees none; write auto or ring"
            )
        options = tf.distribute.experimental.CommunicationOptions(implementation=kind)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    elif len(tf.config.list_logical_devices("GPU")) > 1:
        strategy = tf.distribute.MirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    local = strategy.num_replicas_in_sync // member.members
    return Cluster(member, strategy, local, bool(gpus))


def quiet_tensorflow() -> None:
    """Keep TensorFlow's start-up notes out of the job's log, unless the user wants them. Before its import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
