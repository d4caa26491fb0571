"""The TLS context of this replica, with a certificate that is renewed while it serves."""

import asyncio
import datetime
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence

from trainingjob_operator.intake.certificates import LEAF_LIFE, KeyPair, new_leaf
from trainingjob_operator.kube.tls import load_cert_chain

logger = logging.getLogger(__name__)

#: The wall clock may jump, and the authority that signs may change, so both are looked at so often, in seconds.
LOOK_AGAIN = 3600.0


class ServingCertificate:
    """A server-side SSL context whose certificate lives in memory only and is replaced after 2/3 of its life.

    The new pair is loaded into the same context: connections that are open keep theirs, new handshakes get the new.
    `signer` says which authority signs now; when that changes the certificate is replaced too.
    """

    def __init__(
        self,
        signer: Callable[[], KeyPair],
        dns_names: Sequence[str],
        addresses: Sequence[str] = (),
        *,
        life: datetime.timedelta = LEAF_LIFE,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._signer = signer
        self._dns_names = tuple(dns_names)
        self._addresses = tuple(addresses)
        self._life = life
        self._now = now
        self._sleep = sleep
        self.renew()

    def renew(self) -> None:
        """Make a new certificate and serve it from the next handshake on."""
        self.authority = self._signer()
        self.leaf = new_leaf(self.authority, self._now(), self._dns_names, self._addresses, self._life)
        load_cert_chain(self.context, self.leaf.certificate, self.leaf.key)
        logger.info("intake certificate for %s, until %s", self._dns_names, self.leaf.not_after.isoformat())

    async def run(self) -> None:
        """Renew in time, for ever."""
        while True:
            left = (self.leaf.not_after - self._now()).total_seconds() - self._life.total_seconds() / 3
            if left <= 0 or self._signer() != self.authority:
                self.renew()
                left = self._life.total_seconds() / 3
            await self._sleep(min(left, LOOK_AGAIN))
