"""Frames between launchers: how two that hold the job's key know each other, and what a frame looks like. Pure.

A connection carries lines. First three lines in the clear:

    chief   {"trainingjob": 1, "nonce": N1}
    member  {"member": M, "nonce": N2, "proof": HMAC(key, "member" N1 N2 M)}
    chief   {"proof": HMAC(key, "chief" N1 N2 M)}

Each side has proved that it holds the key without showing it, and the nonces make the proofs worthless for another
connection. Then every line is `MAC SPACE JSON`, with MAC = HMAC(session key, direction, counter, JSON): a frame
that was changed, left out, repeated, reordered, turned round or taken from another connection does not verify.
Nothing here is secret (addresses, exit codes, log lines), so frames are signed and not encrypted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any, Dict, Tuple

VERSION = 1
MAX_LINE = 64 * 1024
#: Lines of the handshake are short: nobody unknown may make us hold more.
MAX_HANDSHAKE_LINE = 1024
MAX_NAME = 64

FROM_CHIEF = b">"
FROM_MEMBER = b"<"


class WireError(Exception):
    """A peer that does not speak our language or does not hold the key. The text holds nothing that it sent."""


def new_nonce() -> str:
    """Return 32 random bytes in hex."""
    return secrets.token_hex(32)


def _mac(key: bytes, *parts: str) -> str:
    # The lengths make the joined parts unambiguous.
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in (p.encode() for p in parts))
    return hmac.new(key, joined, hashlib.sha256).hexdigest()


class Session:
    """One side of an authenticated connection: seals what goes out, opens what comes in."""

    def __init__(self, key: bytes, nonces: Tuple[str, str], member: str, outgoing: bytes) -> None:
        self._key = bytes.fromhex(_mac(key, "session", *nonces, member))
        self._outgoing = outgoing
        self._incoming = FROM_MEMBER if outgoing == FROM_CHIEF else FROM_CHIEF
        self._sent = 0
        self._received = 0
        self.member = member

    def seal(self, frame: Dict[str, Any]) -> bytes:
        """Return the line for a frame.

        Raises:
            ValueError: the frame is longer than `MAX_LINE`.
        """
        body = json.dumps(frame, separators=(",", ":")).encode()
        line = self._sign(self._outgoing, self._sent, body).encode() + b" " + body + b"\n"
        if len(line) > MAX_LINE:
            raise ValueError(f"a frame of {len(line)} bytes is above the limit of {MAX_LINE}")
        self._sent += 1
        return line

    def open(self, line: bytes) -> Dict[str, Any]:
        """Return the frame of a line; raises WireError when it is not the peer's next one."""
        mac, _, body = line.rstrip(b"\n").partition(b" ")
        if not hmac.compare_digest(mac, self._sign(self._incoming, self._received, body).encode()):
            raise WireError("a frame was not signed with the job's key, or is out of order")
        self._received += 1
        return parse(body)

    def _sign(self, direction: bytes, counter: int, body: bytes) -> str:
        return hmac.new(self._key, direction + counter.to_bytes(8, "big") + body, hashlib.sha256).hexdigest()


class ChiefHandshake:
    """The chief's side: `challenge`, then `answer` to what the member says, which also gives the session."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._nonce = new_nonce()

    def challenge(self) -> bytes:
        """Return the first line."""
        return _line({"trainingjob": VERSION, "nonce": self._nonce})

    def answer(self, line: bytes) -> Tuple[bytes, Session]:
        """Return the last line of the handshake and the session; raises WireError."""
        document = parse(line)
        member, nonce, proof = (_text(document, name) for name in ("member", "nonce", "proof"))
        if not hmac.compare_digest(proof.encode(), _mac(self._key, "member", self._nonce, nonce, member).encode()):
            raise WireError("it does not hold the job's key")
        own = _mac(self._key, "chief", self._nonce, nonce, member)
        return _line({"proof": own}), Session(self._key, (self._nonce, nonce), member, FROM_CHIEF)


class MemberHandshake:
    """The member's side: `respond` to the challenge, then `session` once the chief has proved itself."""

    def __init__(self, key: bytes, member: str) -> None:
        self._key = key
        self._member = member
        self._nonce = new_nonce()
        self._chief_nonce = ""

    def respond(self, line: bytes) -> bytes:
        """Return the answer to the chief's challenge; raises WireError."""
        document = parse(line)
        version = document.get("trainingjob")
        if version != VERSION:
            raise WireError("it is not a launcher of this version")
        self._chief_nonce = _text(document, "nonce")
        proof = _mac(self._key, "member", self._chief_nonce, self._nonce, self._member)
        return _line({"member": self._member, "nonce": self._nonce, "proof": proof})

    def session(self, line: bytes) -> Session:
        """Return the session; raises WireError when the chief does not hold the key."""
        proof = _text(parse(line), "proof")
        expected = _mac(self._key, "chief", self._chief_nonce, self._nonce, self._member)
        if not hmac.compare_digest(proof.encode(), expected.encode()):
            raise WireError("it does not hold the job's key")
        return Session(self._key, (self._chief_nonce, self._nonce), self._member, FROM_MEMBER)


def parse(line: bytes) -> Dict[str, Any]:
    """Return the JSON object of a line; raises WireError for anything else."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise WireError("it does not send JSON objects")
    return document


def _line(document: Dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _text(document: Dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isascii():
        raise WireError(f"its handshake has no valid {name}")
    return value
