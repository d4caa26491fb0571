"""Tokens: real signatures, real attacks; and how often the API server is asked for its keys."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operator.intake.signer import ISSUER, NOW, RSA_KEY, KeyApi, Signer, claims_of, unsigned
from trainingjob_operator.intake.tokens import (
    Claims,
    KeySource,
    KeysUnavailableError,
    TokenError,
    read_claims,
    verify,
)
from trainingjob_operator.intake.verified import Verifier


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


BOUND = claims_of()["kubernetes.io"]


def source(*signers: Signer, clock: Clock | None = None) -> tuple[KeySource, KeyApi]:
    api = KeyApi(*(signers or (Signer(),)))
    return KeySource(api, clock=clock or Clock()), api


@pytest.mark.parametrize("signer", [Signer(), Signer.elliptic("e1")])
async def test_a_pods_token_is_read(signer: Signer) -> None:
    keys, _ = source(signer)
    assert await verify(signer.token(), keys, NOW) == Claims(
        namespace="ns",
        pod_name="job-chief-0",
        pod_uid="p-1",
        service_account="default",
        expires_at=NOW + 3600,
        audience=("trainingjob.dev/jobs/u-1",),
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iss": "https://elsewhere"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"exp": int(NOW) - 31}, "has expired"),
        ({"exp": None}, "no end"),
        ({"exp": "tomorrow"}, "no end"),
        ({"exp": True}, "no end"),
        ({"exp": 1e300}, "no end"),
        ({"exp": int(NOW) - 31, "nbf": None, "iat": None}, "has expired"),
        ({"nbf": "now"}, "no beginning"),
        ({"nbf": None, "iat": int(NOW) + 31}, "not valid yet"),
        ({"nbf": int(NOW) + 31}, "not valid yet"),
        ({"aud": None}, "no audience"),
        ({"aud": [1]}, "no audience"),
        ({"kubernetes.io": None}, "not bound to a pod"),
        ({"kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "default"}}}, "not bound to a pod"),
        ({"kubernetes.io": {"namespace": "ns", "pod": "p", "serviceaccount": {"name": "x"}}}, "not bound to a pod"),
        ({"kubernetes.io": [1]}, "not bound to a pod"),
        ({"kubernetes.io": BOUND | {"pod": {"name": "job-chief-0"}}}, "not bound to a pod"),
        ({"kubernetes.io": BOUND | {"pod": {"name": "", "uid": "p-1"}}}, "not bound to a pod"),
        ({"kubernetes.io": BOUND | {"namespace": None}}, "not bound to a pod"),
        ({"kubernetes.io": BOUND | {"serviceaccount": {}}}, "not bound to a pod"),
    ],
)
async def test_claims_that_are_not_good(changes: dict[str, Any], words: str) -> None:
    keys, _ = source()
    with pytest.raises(TokenError, match=words):
        await verify(Signer().token(claims_of(**changes)), keys, NOW)


@pytest.mark.parametrize("changes", [{"exp": int(NOW) - 29}, {"nbf": int(NOW) + 29}])
async def test_clocks_may_differ_a_little(changes: dict[str, Any]) -> None:
    keys, _ = source()
    assert await verify(Signer().token(claims_of(**changes)), keys, NOW)


def public_pem() -> bytes:
    return RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def forged_with_the_public_key(algorithm: str) -> str:
    """The classic: HMAC with the public key as its secret."""
    token = unsigned(claims_of(), {"alg": algorithm, "kid": "k1", "typ": "JWT"})
    signed = token.rsplit(".", 1)[0]
    digest = hmac.new(public_pem(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def tampered() -> str:
    header, _, signature = Signer().token().split(".")
    payload = json.dumps(claims_of(audience="trainingjob.dev/jobs/u-2")).encode()
    return ".".join([header, base64.urlsafe_b64encode(payload).rstrip(b"=").decode(), signature])


STRANGER = Signer("k1", rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.mark.parametrize(
    "token",
    [
        unsigned(claims_of(), {"alg": "none", "kid": "k1"}),
        unsigned(claims_of(), {"alg": "None", "kid": "k1"}),
        unsigned(claims_of(), {"alg": "RS256", "kid": "k1"}),
        unsigned(claims_of(), {"alg": "RS256"}),
        unsigned(claims_of(), {"alg": "RS256", "kid": 7}),
        unsigned(claims_of(), {"alg": ["RS256"], "kid": "k1"}),
        unsigned(claims_of(), {"alg": "ES256", "kid": "k1"}, b"x" * 64),
        forged_with_the_public_key("HS256"),
        forged_with_the_public_key("RS256"),
        tampered(),
        STRANGER.token(),
        Signer("unknown").token(),
        Signer().token(jwk=STRANGER.jwk(), kid="k1")[:-4] + "AAAA",
        # keys by reference, and ids that a careless server would look up in files or databases
        STRANGER.token(jku="https://evil.example/jwks", x5u="https://evil.example/chain"),
        STRANGER.token(x5c=["MIIB"]),
        Signer("../../k1", STRANGER.key).token(),
        Signer("k1' OR '1'='1", STRANGER.key).token(),
        Signer("k1\x00", STRANGER.key).token(),
        Signer("K1", STRANGER.key).token(),
        Signer("", STRANGER.key).token(),
        Signer("x" * 5000, STRANGER.key).token(),
        # what says that it must be understood, and is not
        Signer().token(crit=["b64"], b64=False),
        Signer().token(crit=["trust-me"]),
        # another algorithm of the same key
        jwt.encode(claims_of(), RSA_KEY, "PS256", headers={"kid": "k1"}),
        jwt.encode(claims_of(), RSA_KEY, "RS512", headers={"kid": "k1"}),
        # a good token, and more
        Signer().token() + ".x",
        Signer().token().rpartition(".")[0] + ".",
        Signer().token() * 2,
        "",
        "a.b.c",
        "....",
        "\udc80.x.y",
        "é.b.c",
        "x" * 10_000,
        base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.",
    ],
)
async def test_forgeries_are_refused(token: str) -> None:
    keys, _ = source()
    with pytest.raises(TokenError):
        await verify(token, keys, NOW)


@given(
    token=st.text(max_size=200)
    | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode() + ".e30.x")
)
async def test_no_text_is_more_than_a_refusal(token: str) -> None:
    keys, _ = source()
    with pytest.raises(TokenError):
        await verify(token, keys, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    name=st.sampled_from(["iss", "exp", "nbf", "iat", "aud", "kubernetes.io"]), value=json_values, second=json_values
)
def test_claims_of_any_shape_are_read_or_refused(name: str, value: Any, second: Any) -> None:
    claims = claims_of() | {name: value}
    bound = {"namespace": "ns", "pod": second, "serviceaccount": {"name": "x"}}
    for payload in (claims, claims | {"kubernetes.io": bound}):
        with contextlib.suppress(TokenError):
            assert read_claims(payload, ISSUER, NOW).pod_uid


# --- Keys ---


async def reads_end() -> None:
    """Let the task that reads keys come to its end, or to what holds it up."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_keys_are_read_once_an_hour_and_nobody_waits_for_it() -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    for _ in range(5):
        await verify(Signer().token(), keys, NOW)
    assert api.asked == 2  # issuer and keys
    clock.now = 3601
    api.hangs = asyncio.Event()
    await asyncio.wait_for(verify(Signer().token(), keys, NOW), 5)
    api.hangs.set()
    await reads_end()
    assert api.asked == 4


async def test_unknown_keys_are_looked_up_at_most_once_in_ten_seconds() -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    await verify(Signer().token(), keys, NOW)
    for _ in range(50):
        with pytest.raises(TokenError, match="key that the API server does not have"):
            await verify(Signer("unknown").token(), keys, NOW)
    assert api.asked == 2
    clock.now = 10
    rotated = Signer.elliptic("k2")
    api.keys.append(rotated.jwk())
    assert await verify(rotated.token(), keys, NOW), "the API server has rotated its keys"
    assert api.asked == 4


async def test_many_who_need_the_keys_at_once_ask_once() -> None:
    keys, api = source()
    api.hangs = asyncio.Event()
    verifying = [asyncio.create_task(verify(Signer().token(), keys, NOW)) for _ in range(20)]
    await reads_end()
    verifying.pop().cancel()  # one hangs up
    api.hangs.set()
    assert len(await asyncio.gather(*verifying)) == 19
    assert api.asked == 2


async def test_a_key_that_the_server_has_given_up_is_refused_within_the_hour() -> None:
    clock = Clock()
    old, new = Signer(), Signer.elliptic("k2")
    keys, api = source(old, new, clock=clock)
    verifier = Verifier(keys, lambda: NOW)
    assert await verifier(old.token())
    assert await verifier(new.token())
    api.keys = [new.jwk()]
    clock.now = 3600
    await verifier(new.token())
    await reads_end()
    with pytest.raises(TokenError, match="key that the API server does not have"):
        await verifier(old.token())
    assert await verifier(new.token())


async def test_another_key_under_the_same_id_ends_what_the_first_one_signed() -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    verifier = Verifier(keys, lambda: NOW)
    token = Signer().token()
    await verifier(token)
    api.keys = [STRANGER.jwk()]
    clock.now = 3600
    keys.refresh_if_old()
    await reads_end()
    with pytest.raises(TokenError, match="signature is wrong"):
        await verifier(token)


async def test_old_keys_stay_while_the_api_server_is_away() -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    await verify(Signer().token(), keys, NOW)
    api.broken = True
    clock.now = 7200
    for _ in range(5):
        assert await verify(Signer().token(), keys, NOW)
        await reads_end()
    assert api.asked == 3, "one more try, then a pause"
    clock.now, api.broken = 7211, False
    await verify(Signer().token(), keys, NOW)
    await reads_end()
    assert api.asked == 5


async def test_without_keys_nothing_is_judged() -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    api.broken = True
    for _ in range(3):
        with pytest.raises(KeysUnavailableError):
            await verify(Signer().token(), keys, NOW)
    assert api.asked == 1
    clock.now, api.broken = 11, False
    assert await verify(Signer().token(), keys, NOW)


@pytest.mark.parametrize("documents", [{"keys": []}, {"keys": 7}, {}, {"keys": [{"kty": "RSA", "kid": "k1"}]}])
async def test_a_server_that_suddenly_names_no_keys_does_not_take_away_those_we_have(documents: Any) -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    await verify(Signer().token(), keys, NOW)
    api.keys = documents.get("keys", [])
    clock.now = 3600
    keys.refresh_if_old()
    await reads_end()
    assert await verify(Signer().token(), keys, NOW)


async def test_a_symmetric_key_in_the_jwks_is_passed_over() -> None:
    keys, api = source()
    api.keys = [{"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256"}, {"kty": "RSA", "kid": "b", "n": "!"}]
    api.keys += [Signer().jwk(), {"kty": "RSA"}]
    with pytest.raises(TokenError):
        await verify(unsigned(claims_of(), {"alg": "HS256", "kid": "s"}), keys, NOW)
    assert await verify(Signer().token(), keys, NOW)


# --- Tokens that were verified before ---


class Counting(KeySource):
    """Counts how often a signature needs its key."""

    asked = 0

    async def key(self, key_id: str) -> Any:
        self.asked += 1
        return await super().key(key_id)


async def test_a_token_is_verified_once() -> None:
    keys = Counting(KeyApi(Signer()))
    verifier = Verifier(keys, lambda: NOW)
    token = Signer().token()
    first = await verifier(token)
    assert [await verifier(token) for _ in range(5)] == [first] * 5
    assert keys.asked == 1


async def test_a_token_that_was_good_expires_all_the_same() -> None:
    now = NOW
    verifier = Verifier(source()[0], lambda: now)
    token = Signer().token()
    await verifier(token)
    now = NOW + 3600 + 30
    assert await verifier(token)
    now += 1
    with pytest.raises(TokenError, match="has expired"):
        await verifier(token)
    assert len(verifier) == 0


async def test_a_token_that_differs_in_its_last_letters_is_another_one() -> None:
    verifier = Verifier(source()[0], lambda: NOW)
    token = Signer().token()
    await verifier(token)
    for forged in (token[:-6] + "AAAAAA", token[:-1], token + "A", token.upper()):
        with pytest.raises(TokenError):
            await verifier(forged)


async def test_what_was_refused_is_not_kept_and_what_is_kept_is_bounded() -> None:
    verifier = Verifier(source()[0], lambda: NOW, size=10)
    for number in range(30):
        await verifier(Signer().token(claims_of(jti=str(number))))
        with pytest.raises(TokenError):
            await verifier(f"garbage{number}")
    assert len(verifier) == 10
