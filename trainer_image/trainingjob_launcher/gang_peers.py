"""Who is in a gang: who may come, who takes whose place, who is missing. Pure."""

from __future__ import annotations

import dataclasses
from typing import Mapping, Tuple, Union

from trainingjob_launcher.contract import member_name
from trainingjob_launcher.gang_types import (
    CHIEF,
    EVALUATOR,
    Action,
    Drop,
    MemberJoined,
    MemberLost,
    MemberTerminating,
    Past,
    Refuse,
    Settings,
)

Peers = Mapping[str, MemberJoined]


def expected_members(workers: int) -> Tuple[str, ...]:
    """Return the names of all members of a gang with `workers` workers, in the order of their ranks."""
    return (CHIEF, *(member_name("worker", index) for index in range(workers)))


def absent(settings: Settings, peers: Peers) -> Tuple[str, ...]:
    """Return the members that are not here."""
    return tuple(name for name in settings.members if name not in peers)


def is_current(peers: Peers, event: Union[MemberLost, MemberTerminating]) -> bool:
    """Whether an event is about the connection that its member has now."""
    peer = peers.get(event.member)
    return peer is not None and peer.connection == event.connection


def without(peers: Peers, member: str) -> Peers:
    """Return the peers but one."""
    return {name: peer for name, peer in peers.items() if name != member}


def unwanted(settings: Settings, peers: Peers, event: MemberJoined) -> str:
    """Say why a newcomer can't take its place, "" when it can."""
    hello = event.hello
    expected = (*settings.members[1:], *((EVALUATOR,) if settings.evaluator else ()))
    if hello.member not in expected:
        return f"{hello.member} is no member of this gang of {len(settings.members)}"
    peer = peers.get(hello.member)
    if peer is not None and hello.incarnation < peer.hello.incarnation:
        return _taken(hello.member, peer.hello.incarnation, hello.incarnation)
    return ""


def displaced(peers: Peers, event: MemberJoined) -> Tuple[Action, ...]:
    """Return what is to be done with the connection whose place a newcomer takes.

    A pod that was replaced shall go; of the same pod only an old connection is left, which nobody reads.
    """
    before = peers.get(event.hello.member)
    if before is None:
        return ()
    return (_farewell(before, event),)


def _farewell(before: MemberJoined, event: MemberJoined) -> Action:
    older, newer = before.hello.incarnation, event.hello.incarnation
    if older < newer:
        return Refuse(before.connection, _taken(event.hello.member, newer, older))
    return Drop(before.connection, f"{event.hello.member} has come again over a new connection")


def _taken(member: str, newer: int, older: int) -> str:
    return f"incarnation {newer} of {member} has taken the place of {older}"


def heard(past: Past, event: MemberJoined) -> Past:
    """Return what is known after a newcomer has told what it knows."""
    hello = event.hello
    return dataclasses.replace(
        past, ledger=past.ledger.newest(hello.ledger), pod_failures=max(past.pod_failures, hello.pod_failures)
    )
