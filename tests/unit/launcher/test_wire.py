"""Frames: only the holder of the key is heard, and only once, in order, in its direction."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher.wire import MAX_LINE, ChiefHandshake, MemberHandshake, Session, WireError

KEY = bytes(range(32))


def sessions(member: str = "worker-0", key: bytes = KEY) -> tuple[Session, Session]:
    chief, caller = ChiefHandshake(KEY), MemberHandshake(key, member)
    answer, ours = chief.answer(caller.respond(chief.challenge()))
    return ours, caller.session(answer)


def test_both_sides_come_to_the_same_session() -> None:
    chief, member = sessions()
    for number in range(3):
        assert member.open(chief.seal({"n": number})) == {"n": number}
        assert chief.open(member.seal({"m": number})) == {"m": number}
    assert chief.member == "worker-0"


def test_a_member_without_the_key_is_refused() -> None:
    with pytest.raises(WireError, match="does not hold the job's key"):
        sessions(key=bytes(32))


def test_a_chief_without_the_key_is_refused() -> None:
    impostor, caller = ChiefHandshake(bytes(32)), MemberHandshake(KEY, "worker-0")
    caller.respond(impostor.challenge())
    with pytest.raises(WireError, match="does not hold the job's key"):
        caller.session(json.dumps({"proof": "0" * 64}).encode())


def test_a_proof_is_worthless_on_another_connection() -> None:
    first, second, caller = ChiefHandshake(KEY), ChiefHandshake(KEY), MemberHandshake(KEY, "worker-0")
    answer = caller.respond(first.challenge())
    with pytest.raises(WireError):
        second.answer(answer)


def test_a_proof_is_bound_to_its_member() -> None:
    chief, caller = ChiefHandshake(KEY), MemberHandshake(KEY, "worker-0")
    answer = json.loads(caller.respond(chief.challenge()))
    with pytest.raises(WireError):
        chief.answer(json.dumps({**answer, "member": "worker-1"}).encode())


def test_the_key_never_travels() -> None:
    chief, caller = ChiefHandshake(KEY), MemberHandshake(KEY, "worker-0")
    challenge = chief.challenge()
    response = caller.respond(challenge)
    answer, _ = chief.answer(response)
    assert KEY.hex().encode() not in challenge + response + answer


def test_replayed_skipped_and_turned_frames_are_refused() -> None:
    chief, member = sessions()
    first, second = chief.seal({"n": 1}), chief.seal({"n": 2})
    with pytest.raises(WireError):
        member.open(second)
    assert member.open(first) == {"n": 1}
    with pytest.raises(WireError):
        member.open(first)
    chief, member = sessions()
    with pytest.raises(WireError):
        chief.open(chief.seal({"n": 1}))


def test_frames_of_another_connection_are_refused() -> None:
    (chief, _), (_, other) = sessions(), sessions()
    with pytest.raises(WireError):
        other.open(chief.seal({"n": 1}))


def test_a_frame_above_the_limit_is_not_sent() -> None:
    chief, member = sessions()
    with pytest.raises(ValueError, match="above the limit"):
        chief.seal({"text": "x" * MAX_LINE})
    assert member.open(chief.seal({"n": 1})) == {"n": 1}  # and nothing is out of step


@given(st.binary(max_size=200), st.integers(0, 86), st.integers(1, 255))
def test_any_change_of_a_frame_is_noticed(garbage: bytes, at: int, flip: int) -> None:
    chief, member = sessions()
    line = bytearray(chief.seal({"n": 1, "text": "hello"}))
    line[at] ^= flip
    with pytest.raises(WireError):
        member.open(bytes(line))
    with pytest.raises(WireError):
        member.open(garbage)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.one_of(st.binary(max_size=1500), json_values.map(lambda value: json.dumps(value).encode())))
def test_garbage_in_the_handshake_is_refused_without_another_error(line: bytes) -> None:
    for call in (ChiefHandshake(KEY).answer, MemberHandshake(KEY, "worker-0").respond):
        with pytest.raises(WireError):
            call(line)
    with pytest.raises(WireError):
        MemberHandshake(KEY, "worker-0").session(line)


@given(
    st.fixed_dictionaries(
        {}, optional={"member": json_values, "nonce": json_values, "proof": json_values, "trainingjob": json_values}
    )
)
def test_half_right_handshakes_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(WireError):
        ChiefHandshake(KEY).answer(json.dumps(document).encode())
