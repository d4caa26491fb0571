"""The operator's one Secret: the intake's authorities and the gang key, made by whichever replica comes first.

The chart creates it empty, so that the operator needs no right to create Secrets: only to get and update this one.
"""

import asyncio
import base64
import binascii
import datetime
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from trainingjob_operator.intake import rotation
from trainingjob_operator.intake.certificates import KeyPair, new_authority
from trainingjob_operator.intake.keys import GANG_KEY_BYTES, new_gang_key
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import SECRETS, Resource

logger = logging.getLogger(__name__)

GANG_KEY = "gang.key"
#: Names of certificate and key: of the present authority, and of the next one in the last year of the present one.
PRESENT, NEXT = ("ca.crt", "ca.key"), ("ca-next.crt", "ca-next.key")
#: Seconds between two looks at the Secret: it is read by every replica, and changes once in nine years.
LOOK_AGAIN = 3600.0
_ATTEMPTS = 5

Now = Callable[[], datetime.datetime]


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
    """What the Secret holds: the authorities, present and next, and the key behind all jobs' keys."""

    authorities: tuple[KeyPair, ...]
    gang_key: bytes

    def signer(self, now: datetime.datetime) -> KeyPair:
        """Return the one that signs the replicas' certificates."""
        return self.authorities[rotation.signer(_ends(self.authorities), now)]

    def bundle(self, now: datetime.datetime) -> bytes:
        """Return the certificates that pods made now are to trust, PEM."""
        chosen = rotation.trusted(_ends(self.authorities), now)
        return b"".join(self.authorities[number].certificate for number in chosen)


class Trust:
    """The Secret as last read; it is looked at again for as long as `run` runs."""

    def __init__(
        self,
        api: SecretApi,
        namespace: str,
        name: str,
        now: Now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._place = (namespace, name)
        self._now = now
        self._sleep = sleep
        self._known: Authority | None = None

    async def load(self) -> None:
        """Read the Secret, and make what it lacks; raises what `load_or_create` raises."""
        self._known = await load_or_create(self._api, *self._place, self._now)

    async def run(self) -> None:
        """Look at the Secret again and again: another replica may have made the next authority, or it may be due.

        What cannot be read leaves everything as it is. A gang key that was exchanged counts from the next start on:
        gangs whose members were made before and after it could not form.
        """
        while True:
            await self._sleep(LOOK_AGAIN)
            before = self.known
            try:
                await self.load()
            except (ApiError, SecretError) as error:
                logger.warning("the intake's Secret could not be read again: %s", error)
                continue
            if self.known.gang_key != before.gang_key:
                logger.warning("%s was exchanged: restart the operator, and all jobs that run", GANG_KEY)
                self._known = Authority(self.known.authorities, before.gang_key)

    @property
    def known(self) -> Authority:
        """What the Secret held when it was last read, which `load` must have done."""
        if self._known is None:
            raise RuntimeError("the Secret has not been read yet")
        return self._known

    def signer(self) -> KeyPair:
        """Return the authority that signs now."""
        return self.known.signer(self._now())

    def ends(self) -> datetime.datetime:
        """Return until when there is an authority, UTC."""
        return max(_ends(self.known.authorities))

    def bundle(self) -> str:
        """Return what pods made now are to trust, PEM."""
        return self.known.bundle(self._now()).decode()


async def load_or_create(api: SecretApi, namespace: str, name: str, now: Now) -> Authority:
    """Return what the Secret holds; make what it lacks, and the next authority when it is due.

    Of replicas that write at the same time only the first passes (resourceVersion): the others read again and take
    what it wrote. A gang key that is there is never replaced, or running gangs would fall apart.

    Raises:
        SecretError: the Secret is not there, or what it holds is damaged.
        ApiError: the API server refused for another reason.
    """
    place = f"{namespace}/{name}"
    for _ in range(_ATTEMPTS):
        try:
            secret = await api.get(SECRETS, name, namespace)
        except ApiError as error:
            if error.not_found:
                raise SecretError(
                    f"Secret {place} is not there: the Helm chart creates it, empty; run `helm upgrade`"
                ) from error
            raise
        data = _decode(secret, place)
        found = _authorities(data, place)
        kept = _renewed(found, now())
        wanted = _with(data, kept)
        if wanted != data:
            encoded = {key: base64.b64encode(value).decode() for key, value in wanted.items()}
            try:
                await api.replace(SECRETS, name, secret | {"data": encoded}, namespace)
            except ApiError as error:
                if error.conflict or error.status == 0:
                    continue
                raise
            changed = sorted(key for key in data.keys() | wanted.keys() if data.get(key) != wanted.get(key))
            logger.info("Secret %s: changed %s", place, ", ".join(changed))
        return Authority(kept, _gang_key(wanted, place))
    raise SecretError(f"Secret {place}: another writer changed it {_ATTEMPTS} times in a row")


def _renewed(found: tuple[KeyPair, ...], now: datetime.datetime) -> tuple[KeyPair, ...]:
    """Return the authorities without those that are over, and with the next one if it is due."""
    kept = tuple(found[number] for number in rotation.trusted(_ends(found), now))
    return (*kept, new_authority(now)) if rotation.next_is_due(_ends(kept), now) else kept


def _with(data: Mapping[str, bytes], authorities: tuple[KeyPair, ...]) -> dict[str, bytes]:
    """Return the Secret's data with these authorities, and with a gang key."""
    wanted = {key: value for key, value in data.items() if key not in (*PRESENT, *NEXT)}
    for (certificate, key), pair in zip((PRESENT, NEXT), authorities, strict=False):
        wanted |= {certificate: pair.certificate, key: pair.key}
    if not wanted.get(GANG_KEY):
        wanted[GANG_KEY] = new_gang_key()
    return wanted


def _decode(secret: Mapping[str, Any], place: str) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError) as error:
        raise SecretError(f"Secret {place}: data is not base64") from error


_REMEDY = "remove that key from the Secret and restart the operator; running jobs stop reporting until they end"


def _authorities(data: Mapping[str, bytes], place: str) -> tuple[KeyPair, ...]:
    pairs = []
    for certificate, key in (PRESENT, NEXT):
        pair = KeyPair(data.get(certificate, b""), data.get(key, b""))
        if not pair.certificate and not pair.key:
            continue
        if not pair.matches():
            raise SecretError(f"Secret {place}: {certificate} and {key} do not belong together: {_REMEDY}")
        pairs.append(pair)
    return tuple(pairs)


def _gang_key(data: Mapping[str, bytes], place: str) -> bytes:
    key = data[GANG_KEY]
    if len(key) < GANG_KEY_BYTES:
        raise SecretError(f"Secret {place}: {GANG_KEY} has {len(key)} bytes, needs {GANG_KEY_BYTES}: {_REMEDY}")
    return key


def _ends(pairs: tuple[KeyPair, ...]) -> list[datetime.datetime]:
    return [pair.not_after for pair in pairs]
