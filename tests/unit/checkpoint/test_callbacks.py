"""What callbacks remember comes back; what they were told by the program does not."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_hooks.fit.callbacks import Memory


class Stopper:
    """Like Keras's EarlyStopping."""

    def __init__(self, patience: int = 3) -> None:
        self.patience = patience
        self.wait = 0
        self.best: Any = None
        self.best_weights: Any = None
        self.op = np.less
        self.min_delta = 1.0


class Other:
    def __init__(self) -> None:
        self.seen: Any = None


def through_json(saved: Any) -> Any:
    return json.loads(json.dumps(saved))


def test_numbers_and_arrays_come_back_and_configuration_stays() -> None:
    old = Stopper(patience=3)
    memory = Memory([old])
    old.wait, old.best, old.best_weights, old.min_delta = 2, np.float32(0.25), [np.ones(3), np.zeros((2, 2))], -1.0
    saved, arrays = memory.capture()
    new = Stopper(patience=5)  # edited before the restart
    assert Memory([new]).restore(through_json(saved), arrays) == []
    assert (new.wait, new.best, new.patience, new.min_delta) == (2, 0.25, 5, 1.0)
    assert isinstance(new.best, np.float32)
    np.testing.assert_array_equal(new.best_weights[0], np.ones(3))
    assert new.best_weights[1].shape == (2, 2)


def test_a_second_restart_knows_what_the_first_run_did() -> None:
    first, second, third = Stopper(), Stopper(), Stopper()
    memory = Memory([first])
    first.wait, first.best = 2, 0.5
    saved, arrays = memory.capture()
    memory = Memory([second])
    memory.restore(saved, arrays)
    second.wait = 1
    saved, arrays = memory.capture()
    Memory([third]).restore(saved, arrays)
    assert (third.wait, third.best) == (1, 0.5)


def test_lists_that_grow_are_seen_to_have_changed() -> None:
    old, new = Other(), Other()
    old.seen = []
    memory = Memory([old])
    old.seen.append(0.5)
    saved, arrays = memory.capture()
    Memory([new]).restore(saved, arrays)
    assert new.seen == [0.5]


def test_callbacks_are_found_by_class_and_order_and_lost_ones_are_named() -> None:
    stopper, others = Stopper(), [Other(), Other()]
    memory = Memory([stopper, *others])
    stopper.wait, others[0].seen, others[1].seen = 1, "a", "b"
    saved, arrays = memory.capture()
    found = [Other(), Other()]
    assert Memory(found).restore(saved, arrays) == ["Stopper"]
    assert [other.seen for other in found] == ["a", "b"]


def test_what_cannot_be_told_to_another_process_is_left_alone() -> None:
    old, new = Other(), Other()
    memory = Memory([old])
    old.seen = open  # a file, a lock, a model, …
    saved, arrays = memory.capture()
    Memory([new]).restore(through_json(saved), arrays)
    assert new.seen is None


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_every_plain_value_comes_back_equal(value: Any) -> None:
    old, new = Other(), Other()
    memory = Memory([old])
    old.seen = value
    saved, arrays = memory.capture()
    Memory([new]).restore(through_json(saved), arrays)
    assert new.seen == value
