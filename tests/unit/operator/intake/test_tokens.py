"""Tokens: real signatures, real attacks; and how often the API server is asked for its keys."""

import base64
import contextlib
import hashlib
import hmac
import json
from typing import Any

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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


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
        ({"exp": int(NOW) - 31}, "has expired"),
        ({"exp": None}, "no end"),
        ({"exp": "tomorrow"}, "no end"),
        ({"exp": True}, "no end"),
        ({"nbf": int(NOW) + 31}, "not valid yet"),
        ({"aud": None}, "no audience"),
        ({"aud": [1]}, "no audience"),
        ({"kubernetes.io": None}, "not bound to a pod"),
        ({"kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "default"}}}, "not bound to a pod"),
        ({"kubernetes.io": {"namespace": "ns", "pod": "p", "serviceaccount": {"name": "x"}}}, "not bound to a pod"),
        ({"kubernetes.io": [1]}, "not bound to a pod"),
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


async def test_keys_are_read_once_an_hour() -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    for _ in range(5):
        await verify(Signer().token(), keys, NOW)
    assert api.asked == 2  # issuer and keys
    clock.now = 3601
    await verify(Signer().token(), keys, NOW)
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


async def test_old_keys_stay_while_the_api_server_is_away() -> None:
    clock = Clock()
    keys, api = source(clock=clock)
    await verify(Signer().token(), keys, NOW)
    api.broken = True
    clock.now = 7200
    assert await verify(Signer().token(), keys, NOW)
    assert await verify(Signer().token(), keys, NOW)
    assert api.asked == 3, "one more try, then a pause"


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


async def test_a_symmetric_key_in_the_jwks_is_passed_over() -> None:
    keys, api = source()
    api.keys = [{"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256"}, {"kty": "RSA", "kid": "b", "n": "!"}]
    api.keys += [Signer().jwk(), {"kty": "RSA"}]
    with pytest.raises(TokenError):
        await verify(unsigned(claims_of(), {"alg": "HS256", "kid": "s"}), keys, NOW)
    assert await verify(Signer().token(), keys, NOW)
