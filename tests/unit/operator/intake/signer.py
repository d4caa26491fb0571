"""An API server's token side: keys, JWKS, and real signed service-account tokens, good and bad."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from trainingjob_operator.kube.errors import ApiError

ISSUER = "https://kubernetes.default.svc"
NOW = 1_800_000_000.0
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Signer:
    """One signing key of the API server."""

    def __init__(self, kid: str = "k1", key: Any = RSA_KEY, algorithm: str = "RS256") -> None:
        self.kid = kid
        self.key = key
        self.algorithm = algorithm

    @classmethod
    def elliptic(cls, kid: str) -> "Signer":
        return cls(kid, ec.generate_private_key(ec.SECP256R1()), "ES256")

    def jwk(self) -> dict[str, Any]:
        public = self.key.public_key()
        kind: Any = jwt.algorithms.RSAAlgorithm if self.algorithm == "RS256" else jwt.algorithms.ECAlgorithm
        document: dict[str, Any] = kind.to_jwk(public, as_dict=True)
        return document | {"kid": self.kid, "use": "sig", "alg": self.algorithm}

    def token(self, payload: Mapping[str, Any] | None = None, **header: Any) -> str:
        claims = dict(payload if payload is not None else claims_of())
        return jwt.encode(claims, self.key, self.algorithm, headers={"kid": self.kid} | header)


def claims_of(audience: Any = "trainingjob.dev/jobs/u-1", **changes: Any) -> dict[str, Any]:
    """Return the claims of the projected token of pod job-chief-0 of job u-1; None removes one."""
    claims = {
        "aud": [audience] if isinstance(audience, str) else audience,
        "exp": int(NOW) + 3600,
        "iat": int(NOW) - 10,
        "nbf": int(NOW) - 10,
        "iss": ISSUER,
        "jti": "x",
        "sub": "system:serviceaccount:ns:default",
        "kubernetes.io": {
            "namespace": "ns",
            "node": {"name": "n1", "uid": "n-1"},
            "pod": {"name": "job-chief-0", "uid": "p-1"},
            "serviceaccount": {"name": "default", "uid": "s-1"},
        },
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


class KeyApi:
    """The two discovery documents; `broken` makes them unreachable, `hangs` holds answers up until it is set."""

    def __init__(self, *signers: Signer) -> None:
        self.keys: Any = [signer.jwk() for signer in signers]
        self.hangs: asyncio.Event | None = None
        self.asked = 0
        self.broken = False

    async def raw(self, path: str, /) -> dict[str, Any]:
        self.asked += 1
        if self.hangs is not None:
            await self.hangs.wait()
        if self.broken:
            raise ApiError(503, "ServiceUnavailable")
        return {"keys": self.keys} if path == "/openid/v1/jwks" else {"issuer": ISSUER}


def unsigned(payload: Mapping[str, Any], header: Mapping[str, Any], signature: bytes = b"") -> str:
    """Return a token as an attacker writes it, part by part."""
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
