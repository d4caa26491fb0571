"""The operator's one Secret: the intake's authority and the gang key, made once by whichever replica is first.

The chart creates it empty, so that the operator needs no right to create Secrets: only to get and update this one.
"""

import base64
import binascii
import datetime
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from trainingjob_operator.intake.certificates import KeyPair, new_authority
from trainingjob_operator.intake.keys import GANG_KEY_BYTES, new_gang_key
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import SECRETS, Resource

logger = logging.getLogger(__name__)

CA_CERTIFICATE, CA_KEY, GANG_KEY = "ca.crt", "ca.key", "gang.key"
_ATTEMPTS = 5


class SecretApi(Protocol):
    """The two requests that this needs; `KubeClient` has them."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None, /) -> dict[str, Any]:
        """Read an object."""
        ...

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str | None = None, /
    ) -> dict[str, Any]:
        """Write an object under its resourceVersion."""
        ...


class SecretError(Exception):
    """The Secret cannot be used; the text says what to do."""


@dataclass(frozen=True)
class Authority:
    """What the Secret holds: the CA that signs the replicas' certificates, and the key behind all jobs' keys."""

    ca: KeyPair
    gang_key: bytes


async def load_or_create(
    api: SecretApi, namespace: str, name: str, now: Callable[[], datetime.datetime]
) -> Authority:
    """Return what the Secret holds; fill in what it lacks.

    Two replicas that start together both generate, but only one write passes (resourceVersion): the other reads again
    and takes what the first one wrote. A gang key that is there is never replaced, or running gangs would fall apart.

    Raises:
        SecretError: the Secret is not there, or what it holds is damaged.
        ApiError: the API server refused for another reason.
    """
    for _ in range(_ATTEMPTS):
        try:
            secret = await api.get(SECRETS, name, namespace)
        except ApiError as error:
            if error.not_found:
                raise SecretError(
                    f"Secret {namespace}/{name} is not there: the Helm chart creates it, empty; run `helm upgrade`"
                ) from error
            raise
        data = _decode(secret, namespace, name)
        made = _missing(data, now())
        if made:
            encoded = {key: base64.b64encode(value).decode() for key, value in (data | made).items()}
            try:
                await api.replace(SECRETS, name, secret | {"data": encoded}, namespace)
            except ApiError as error:
                if error.conflict or error.status == 0:
                    continue
                raise
            logger.info("Secret %s/%s: made %s", namespace, name, ", ".join(sorted(made)))
        return _authority(data | made, namespace, name)
    raise SecretError(f"Secret {namespace}/{name}: another writer changed it {_ATTEMPTS} times in a row")


def _decode(secret: Mapping[str, Any], namespace: str, name: str) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError) as error:
        raise SecretError(f"Secret {namespace}/{name}: data is not base64") from error


def _missing(data: Mapping[str, bytes], now: datetime.datetime) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    if not data.get(CA_CERTIFICATE) and not data.get(CA_KEY):
        authority = new_authority(now)
        made |= {CA_CERTIFICATE: authority.certificate, CA_KEY: authority.key}
    if not data.get(GANG_KEY):
        made[GANG_KEY] = new_gang_key()
    return made


def _authority(data: Mapping[str, bytes], namespace: str, name: str) -> Authority:
    ca = KeyPair(data.get(CA_CERTIFICATE, b""), data.get(CA_KEY, b""))
    remedy = "remove that key from the Secret and restart the operator; running jobs stop reporting until they end"
    if not ca.matches():
        raise SecretError(
            f"Secret {namespace}/{name}: {CA_CERTIFICATE} and {CA_KEY} do not belong together: {remedy}"
        )
    if len(data[GANG_KEY]) < GANG_KEY_BYTES:
        raise SecretError(
            f"Secret {namespace}/{name}: {GANG_KEY} has {len(data[GANG_KEY])} bytes, needs {GANG_KEY_BYTES}: {remedy}"
        )
    return Authority(ca, data[GANG_KEY])
