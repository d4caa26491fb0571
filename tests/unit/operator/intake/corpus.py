"""Requests that no launcher sends, by the thousand: the same ones for the same seed."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.unit.operator.intake.signer import Signer, claims_of, unsigned

#: What may stand in the place of any value. `RAW` goes into the text as it is, for JSON that Python would not write.
NOTHING = object()
DEEP: Any = []
for _ in range(40):
    DEEP = [DEEP]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e308, -1e308, 5e-324,
    "", " ", "0", "1", "NaN", "nan", "Infinity", "-Infinity", "+Infinity", "inf", "chief-0", "chief-00", "worker-9999",
    "chief-0\n", "chief-0\x00", "\ud800", "\udfff\ud800", "\u202e", "\u0000", "é" * 100, "\U0001d518" * 50, "x" * 5000,
    "${jndi:ldap://x}", "{{7*7}}", "<script>", "'; DROP TABLE jobs; --", "../../etc/passwd", "%s%s%s%n",
    [], [[]], {}, {"": None}, {"low": 1}, {"low": 2, "high": 1}, {"low": "NaN", "high": "NaN"}, [None] * 100, DEEP,
    {"a" * 63: 1}, {"a" * 64: 1}, {f"m{n}": n for n in range(65)}, NOTHING,
]  # fmt: skip
RAW = [
    b"NaN", b"Infinity", b"-Infinity", b"nan", b"1e999", b"-1e999", b"1E+99999", b"1e-999", b"0x10", b"01", b"+1", b"1.",
    b".5", b"9" * 4299, b"9" * 4301, b"9" * 60_000, b"1" * 400, b"0." + b"3" * 5000, b"tru", b"'x'", b'"\\ud800"', b'"\\x"',
    b'"\xff\xfe"', b'"\x00"', b"\xef\xbb\xbf1", b"/**/1", b"[1,]", b'{"a":1,}', b"[" * 200 + b"]" * 200,
    b"[" * 30_000, b'{"a":' * 10_000, b"\xed\xa0\x80", b"1 2",
]  # fmt: skip
LAWFUL: dict[str, Any] = {
    "version": 1, "member": "chief-0", "incarnation": 1, "generation": 1, "sequence": 1, "state": "Running", "final": False,
    "training": {
        "step": 5, "totalSteps": 10, "epoch": 1, "totalEpochs": 2, "percent": 50.0, "etaSeconds": 3.5,
        "examplesPerSecond": 812.5, "resumedStep": 3, "metrics": {"loss": 0.5, "accuracy": "NaN"},
        "extremes": {"loss": {"low": 0.25, "lowStep": 3, "high": "Infinity", "highStep": 1}},
    },
    "failure": {
        "member": "worker-1", "reason": "OutOfMemory", "message": "killed", "exitCode": 137, "signal": 9, "generation": 1,
        "lastLogLines": ["one", "two"],
    },
    "telemetry": {
        "cpuCores": 1.5, "memoryBytes": 1e9, "gpus": 2, "gpuUtilization": 55.0, "gpuMemoryBytes": 2e9,
        "members": [{
            "member": "chief-0", "cpuCores": 1.5, "memoryBytes": 1e9, "memoryLimitBytes": 2e9,
            "gpus": [{"utilization": 50, "memoryBytes": 1, "memoryTotalBytes": 2}],
        }],
    },
    "ledger": {
        "generation": 1, "counted": 1, "step": 5, "started": True, "fruitless": 1,
        "last": {"reason": "OutOfMemory", "message": "killed", "exitCode": 137, "signal": 9, "step": 4},
    },
    "size": 3, "unreachable": ["worker-1"], "stalledSeconds": 61.5, "chiefIncarnation": 1,
}  # fmt: skip

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Attack:
    """Bytes for one connection. `kind` names the trick; `then` is what the client does when they are sent."""

    kind: str
    data: bytes
    then: str = "read"


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the path of every field of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from paths(inner, (*at, key))


PATHS = list(paths(LAWFUL))


def with_value(path: Path, value: Any, document: Any = LAWFUL) -> Any:
    """Return a document with another value in one place, or without it."""
    out = copy.deepcopy(document)
    parent = out
    for step in path[:-1]:
        parent = parent[step]
    if value is NOTHING:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return out


def dumps(document: Any) -> bytes:
    """Write JSON, lone surrogates as escapes."""
    return json.dumps(document).encode()


def every_field_with_every_value() -> Iterator[bytes]:
    """Yield the whole table: each field of a report with each odd value, and with each odd text."""
    for path in PATHS:
        for value in VALUES:
            yield dumps(with_value(path, value))
        marked = dumps(with_value(path, "@@"))
        for raw in RAW:
            yield marked.replace(b'"@@"', raw)


def documents(chance: random.Random) -> Iterator[bytes]:
    """Yield documents without end: several fields changed, cut, turned, doubled, in other encodings."""
    good = dumps(LAWFUL)
    while True:
        document = LAWFUL
        for path in chance.sample(PATHS, chance.randint(1, 4)):
            try:
                document = with_value(path, chance.choice(VALUES), document)
            except (KeyError, IndexError, TypeError):
                continue  # an earlier change took its parent away
        data = dumps(document)
        trick = chance.randrange(8)
        if trick == 0:
            data = data[: chance.randrange(len(data))]
        elif trick == 1:
            noisy = bytearray(data)
            for _ in range(chance.randint(1, 20)):
                noisy[chance.randrange(len(noisy))] = chance.randrange(256)
            data = bytes(noisy)
        elif trick == 2:
            encoding = chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-32-be", "utf-8-sig", "utf-7", "cp037"])
            data = good.decode().encode(encoding)
        elif trick == 3:
            twice = b",".join([data[1:-1], chance.choice([good[1:-1], b'"step":1', b'"version":2', b'"":""'])])
            data = b"{" + twice + b"}"
        elif trick == 4:
            data = b" \n\t" * chance.randrange(2000) + data + b"\n" * chance.randrange(100)
        elif trick == 5:
            data = chance.randbytes(chance.randrange(2000))
        elif trick == 6:
            data = data + chance.choice([b"x", b"{}", b"\x00", b"]", data])
        yield data


def tokens(chance: random.Random) -> Iterator[str]:
    """Yield tokens without end, none of them good."""
    good = Signer().token()
    head, payload, signature = good.split(".")
    while True:
        yield chance.choice([
            "", "x", ".", "..", "...", "a.b.c", "x" * chance.randrange(8000), chance.randbytes(50).hex(), good[:-9],
            f"{head}.{payload}.", f"{head}..{signature}", f".{payload}.{signature}", f"{payload}.{head}.{signature}",
            f"{head}.{payload[:-4]}AAAA.{signature}", f"{head}.{payload}.{signature[:100]}QUFB{signature[104:]}",
            unsigned(claims_of(), {"alg": "none", "kid": "k1"}),
            unsigned(claims_of(), {"alg": "HS256", "kid": "k1"}, b"x" * 32),
            unsigned({}, {"alg": "RS256", "kid": chance.choice(["k1", "", "../k1", "k" * 4000])}, b"x" * 256),
            Signer().token(claims_of(exp=chance.choice([0, -1, 1, 10**9]), nbf=chance.choice([None, 10**12]))),
            Signer().token(claims_of(audience=chance.choice(["", "trainingjob.dev/jobs/", "trainingjob.dev/jobs/u-2"]))),
            "\u00e9.\u00e9.\u00e9", good + " x", "é" * 300,
        ])  # fmt: skip


class Heads:
    """HTTP requests that are not quite. `token` is a good one, so that it is not the token that saves the server."""

    def __init__(self, chance: random.Random, path: str, token: str) -> None:
        self.chance = chance
        self.path = path
        self.token = token
        self.good = dumps(LAWFUL)

    def request(self, body: bytes, *headers: bytes, length: bool = True) -> bytes:
        """Return a request with a good token."""
        lines = [b"POST %b HTTP/1.1" % self.path.encode(), b"Host: intake", *headers]
        lines.append(b"Authorization: Bearer " + self.token.encode())
        if length:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def chunked(self, *chunks: bytes) -> bytes:
        """Return a request whose body is these chunks as they are."""
        return self.request(b"", b"Transfer-Encoding: chunked", length=False) + b"".join(chunks)

    def all(self) -> Iterator[Attack]:
        """Yield attacks without end, each kind in its turn."""
        kinds: list[Callable[[], Attack]] = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("by_")
        ]
        while True:
            for kind in kinds:
                yield kind()

    def pick(self, *choices: bytes) -> bytes:
        return self.chance.choice(choices)

    def by_first_line(self) -> Attack:
        method = self.pick(
            b"POST", b"GET", b"PUT", b"TRACE", b"CONNECT", b"OPTIONS", b"PRI", b"post", b"P\x00ST", b"", b"M" * 9000
        )
        target = self.pick(
            self.path.encode(), b"/", b"*", b"", b"//", b"/healthz", b"/healthz/../" + self.path.encode(), b"http://a/b",
            b"/v1/namespaces/%2e%2e/trainingjobs/x/report", b"/v1/namespaces/ns/trainingjobs/%00/report", b"/\xff\xfe",
            b"/" + b"a" * 9000, self.path.encode() + b"?" + b"q=1&" * 500, self.path.encode() + b"#x", b"intake:443",
            b"/v1/namespaces/ns/trainingjobs/" + b"j" * 254 + b"/report", b"/v1/namespaces/NS/trainingjobs/Job/report",
        )  # fmt: skip
        version = self.pick(
            b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9.9", b"HTTP/1.1 x", b"", b"ICY"
        )
        return Attack("first line", b" ".join([method, target, version]) + b"\r\nHost: i\r\n\r\n")

    def by_lengths(self) -> Attack:
        lines = self.pick(
            b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: -1", b"Content-Length: +5", b"Content-Length: 5, 5",
            b"Content-Length: 0x5", b"Content-Length: 99999999999999999999999", b"Content-Length: \xb2", b"Content-Length:",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Content-Length : 5", b"Content-Length: 65537",
            b"Content-Length: 1000000000", b"Content-Length: 5\x00",
        )  # fmt: skip
        return Attack("lengths", self.request(b"hello", lines, length=False))

    def by_chunks(self) -> Attack:
        body = self.pick(
            b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"-5\r\nhello\r\n", b"5;ext=1\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhelloworld\r\n", b"x\r\n", b"0\r\nTrailer: 1\r\n\r\n", b"0\r\n" + b"T: 1\r\n" * 5000 + b"\r\n",
            b"5;" + b"e" * 20_000 + b"\r\nhello\r\n", b"1\r\nx\r\n" * 5000, b"5\nhello\n0\n\n", b"", b"0x5\r\nhello\r\n",
            b"ffff\r\n" + b"x" * 65_535 + b"\r\n5\r\nhello\r\n0\r\n\r\n", b"%x\r\n" % len(self.good) + self.good + b"\r\n0\r\n\r\n",
        )  # fmt: skip
        return Attack("chunks", self.chunked(body))

    def by_encodings(self) -> Attack:
        header = self.pick(
            b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: xchunked",
            b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: identity, gzip", b"Content-Encoding: \xff",
            b"Content-Type: multipart/form-data; boundary=x", b"Content-Type: application/json; charset=utf-16",
            b"Content-Type: \x00", b"Accept-Encoding: *;q=0", b"Expect: 100-continue", b"Expect: 200-ok", b"Range: bytes=0-",
            b"Upgrade: websocket\r\nConnection: Upgrade", b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
            b"Connection: close, keep-alive", b"Connection: Content-Length",
        )  # fmt: skip
        return Attack("encodings", self.request(self.good, header))

    def by_headers(self) -> Attack:
        header = self.pick(
            b"A: b\r\n" * 200 + b"C: d", b"X: " + b"y" * 9000, b"Y" * 9000 + b": z", b"No colon", b": empty", b"X : space",
            b"X: a\r\n folded", b"X: \x00", b"X\xff: y", b"X: a\rb", b"X: a\nY: b", b"Host: other", b"Host: a\r\nHost: b",
            b"Authorization: Basic eDp5", b"Authorization: Bearer x", b"Cookie: " + b"a=b; " * 1000, b"If-Match: *",
            b"X-Forwarded-For: 127.0.0.1", b"X-HTTP-Method-Override: DELETE",
        )  # fmt: skip
        return Attack("headers", self.request(self.good, header))

    def by_size(self) -> Attack:
        size = self.chance.choice([65_535, 65_536, 65_537, 70_000, 200_000])
        body = self.good + b" " * (size - len(self.good))
        if self.chance.random() < 0.5:
            return Attack("size", self.request(body))
        pieces = [body[at : at + 8000] for at in range(0, size, 8000)]
        return Attack("size", self.chunked(*(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces), b"0\r\n\r\n"))

    def by_pipeline(self) -> Attack:
        several = (
            self.request(self.good) + self.request(b"{") + b"GET /healthz HTTP/1.1\r\nHost: i\r\n\r\n" + b"\x00\xff"
        )
        return Attack("pipeline", several * self.chance.randint(1, 5))

    def by_noise(self) -> Attack:
        noisy = bytearray(self.request(self.good))
        for _ in range(self.chance.randint(1, 30)):
            noisy[self.chance.randrange(len(noisy))] = self.chance.randrange(256)
        return Attack("noise", bytes(noisy))

    def by_cutting(self) -> Attack:
        whole = self.request(self.good)
        then = self.chance.choice(["hang up", "abort", "wait"])
        return Attack(f"cut, {then}", whole[: self.chance.randrange(len(whole))], then)
