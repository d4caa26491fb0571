"""Which examples are in the batch of a step, and where this member's part of it begins. Everything here is exact.

A global batch has positions 0 … global_batch - 1. Its parts (the replicas of the whole gang) hold
ceil(global_batch / parts) positions each, so that every replica sees one shape; positions beyond the end of the batch
or of the epoch are padding, which the mask takes out of every sum. Hence any batch works with any number of members,
and the last batch of an epoch loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

#: Second word of the seed that chooses the validation examples: no epoch has this number.
SPLIT_EPOCH = 2**40


@dataclass(frozen=True)
class Layout:
    """How a data set of `size` examples becomes batches, and which part of each belongs to this member."""

    size: int
    global_batch: int
    parts: int
    first_part: int
    local_parts: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.global_batch < 1 or self.parts < 1 or self.local_parts < 1:
            raise ValueError(f"{self}: all numbers but first_part must be at least 1")
        if not 0 <= self.first_part <= self.parts - self.local_parts:
            raise ValueError(f"{self}: this member's parts do not lie within the {self.parts} parts of the gang")

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch; the last may be partial."""
        return -(-self.size // self.global_batch)

    @property
    def part_size(self) -> int:
        """Examples (with padding) of one part."""
        return -(-self.global_batch // self.parts)

    @property
    def local_batch(self) -> int:
        """Examples (with padding) of this member."""
        return self.part_size * self.local_parts

    def local_positions(self) -> Any:
        """Return the positions of this member's examples in the global batch: int64 (local_batch,)."""
        first = self.first_part * self.part_size
        return tf.range(first, first + self.local_batch, dtype=tf.int64)

    def place(self, step: Any) -> tuple[Any, Any, Any]:
        """Return (epoch, first example's place in the epoch, number of real examples) of a step: int64 scalars."""
        epoch = step // self.steps_per_epoch
        start = step % self.steps_per_epoch * self.global_batch
        return epoch, start, tf.minimum(tf.constant(self.global_batch, tf.int64), self.size - start)
