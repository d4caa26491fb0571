"""Random layers must not draw the same on every member, or the gang would see one dropout mask many times."""

from __future__ import annotations

from typing import Any

#: Added to the seeds of layers for each replica; a prime, so that two layers do not meet.
STRIDE = 7919


def tell_members_apart(model: Any, first_replica: int) -> None:
    """Shift the seeds of random layers by the replica's number.

    A seed's state is (seed, calls so far). Replica 0 keeps its seeds: they are what a checkpoint holds, and every
    member derives its own from them again. So results of random layers depend on the number of members, and on that
    alone.
    """
    for variable in model.non_trainable_variables:
        if not variable.path.endswith("seed_generator_state"):
            continue
        for local, component in enumerate(getattr(variable.value, "values", (variable.value,))):
            component.assign_add([(first_replica + local) * STRIDE, 0])
