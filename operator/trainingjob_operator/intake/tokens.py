"""Who sends: the pod's projected service-account token, verified against the API server's public keys.

No request to the API server for a report (a TokenReview would be one): the signature is checked here. What such a
check cannot see, that the pod has been deleted since, `authorize` finds in the pod cache.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from trainingjob_operator.kube.errors import ApiError

logger = logging.getLogger(__name__)

#: Asymmetric signatures only: with a symmetric one, or `none`, whoever knows the public key could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
JWKS_PATH = "/openid/v1/jwks"
DISCOVERY_PATH = "/.well-known/openid-configuration"
MAX_TOKEN = 8192
#: The API server's clock and ours may differ by so many seconds.
LEEWAY = 30.0


class TokenError(Exception):
    """The token is not good; the text, one sentence, may be shown to the sender."""


class KeysUnavailableError(Exception):
    """The API server's keys could not be read yet, so no token can be judged: try again later."""


@dataclass(frozen=True)
class Claims:
    """What a verified token says. `audience` is left to the caller to judge; `expires_at` is seconds since 1970."""

    namespace: str
    pod_name: str
    pod_uid: str
    service_account: str
    expires_at: float
    audience: tuple[str, ...]


class RawApi(Protocol):
    """The request that this needs; `KubeClient` has it."""

    async def raw(self, path: str, /) -> dict[str, Any]:
        """GET a path."""
        ...


class KeySource:
    """The issuer and the public keys of the API server, cached.

    They are read again every `lifetime` seconds, and when a token names a key that is not known (the server has
    rotated), but then at most once in `cooldown` seconds, or strangers could make us ask all the time. While they are
    read again, and when that fails, the old keys stay: an API server that hangs holds up no report.
    """

    def __init__(
        self,
        api: RawApi,
        *,
        lifetime: float = 3600.0,
        cooldown: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = ""
        #: Grows whenever keys were read: what was verified with older ones must be verified again.
        self.version = 0
        self._api = api
        self._lifetime = lifetime
        self._cooldown = cooldown
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = -math.inf
        self._read_at = -math.inf
        self._reading: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key with this id, None when the server has no such key.

        Raises:
            KeysUnavailableError: the keys have never been read.
        """
        self.refresh_if_old()
        if key_id not in self._keys:
            reading = self._read_again()
            if reading is not None:
                # Who hangs up while he waits must not end it for the others.
                await asyncio.shield(reading)
        if not self._keys:
            raise KeysUnavailableError
        return self._keys.get(key_id)

    def refresh_if_old(self) -> None:
        """Have the keys read again, in the background, when they are older than their lifetime."""
        if self._keys and self._clock() - self._read_at >= self._lifetime:
            self._read_again()

    def _read_again(self) -> asyncio.Task[None] | None:
        """Return the task that reads the keys; None when they were asked for only a moment ago."""
        if self._reading is None and self._clock() - self._tried_at >= self._cooldown:
            self._tried_at = self._clock()
            self._reading = asyncio.create_task(self._read(), name="token keys")
        return self._reading

    async def _read(self) -> None:
        try:
            discovery = await self._api.raw(DISCOVERY_PATH)
            keys = parse_jwks(await self._api.raw(JWKS_PATH))
        except ApiError as error:
            logger.warning("token keys: %s", error)
            return
        finally:
            self._reading = None
        issuer = discovery.get("issuer")
        if not isinstance(issuer, str) or not issuer or not keys:
            logger.warning("token keys: the API server names no issuer or no usable key")
            return
        self.issuer, self._keys, self._read_at = issuer, keys, self._clock()
        self.version += 1


def parse_jwks(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the usable public keys of a JWKS by id: RSA and EC, with an id; others are passed over."""
    keys: dict[str, jwt.PyJWK] = {}
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC") or not entry.get("kid"):
            continue
        if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHMS[0]) not in ALGORITHMS:
            continue
        try:
            keys[str(entry["kid"])] = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            logger.warning("token key %r cannot be used: %s", entry.get("kid"), error)
    return keys


async def verify(token: str, keys: KeySource, now: float) -> Claims:
    """Return the claims of a token that the API server signed for a pod and that is valid at `now` (since 1970).

    Raises:
        TokenError: it is not such a token.
        KeysUnavailableError: it cannot be judged yet.
    """
    if len(token) > MAX_TOKEN or not token.isascii():
        raise TokenError("the token is not a JSON Web Token")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenError("the token is not a JSON Web Token") from error
    key_id, algorithm = header.get("kid"), header.get("alg")
    if algorithm not in ALGORITHMS or not isinstance(key_id, str):
        raise TokenError("the token is not signed like a service-account token")
    key = await keys.key(key_id)
    if key is None:
        raise TokenError("the token is signed with a key that the API server does not have")
    try:
        payload = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            # Only the signature is the library's; times are judged with our clock, in `read_claims`.
            options={
                "verify_signature": True,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenError("the token's signature is wrong") from error
    return read_claims(payload, keys.issuer, now)


def read_claims(payload: Mapping[str, Any], issuer: str, now: float) -> Claims:
    """Judge the claims of a token whose signature is good. Pure.

    Raises:
        TokenError: another issuer, out of its time, or not bound to a pod.
    """
    if payload.get("iss") != issuer:
        raise TokenError("the token is of another issuer")
    expires, not_before = _number(payload.get("exp")), _number(payload.get("nbf", payload.get("iat", 0)))
    if expires is None or not_before is None:
        raise TokenError("the token has no end (exp) or no beginning (nbf)")
    if now > expires + LEEWAY:
        raise TokenError("the token has expired: read the token file again for every report")
    if now < not_before - LEEWAY:
        raise TokenError("the token is not valid yet: the clocks of the nodes differ")
    audience = payload.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise TokenError("the token has no audience (aud)")
    bound = payload.get("kubernetes.io")
    bound = bound if isinstance(bound, dict) else {}
    pod, account = bound.get("pod"), bound.get("serviceaccount")
    texts = [
        bound.get("namespace"),
        pod.get("name") if isinstance(pod, dict) else None,
        pod.get("uid") if isinstance(pod, dict) else None,
        account.get("name") if isinstance(account, dict) else None,
    ]
    if not all(isinstance(text, str) and text for text in texts):
        raise TokenError("the token is not bound to a pod: use the projected token of the job's pod")
    namespace, pod_name, pod_uid, service_account = (str(text) for text in texts)
    return Claims(namespace, pod_name, pod_uid, service_account, expires, tuple(audiences))


def _number(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if number else None
