"""Which connections the intake holds, and which it gives up when there are too many. Pure: no sockets, no tasks.

Whoever reaches the port can open connections before anything is known of him, and each costs memory and a TLS
handshake. So a connection is a stranger's until a report came over it that was taken, and strangers make room first.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from trainingjob_operator.intake.limits import Buckets


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections are open at once, in all and from one address, and how fast one address may open more.

    A node has some 110 pods, so even where the network hides pods behind their node's address, `per_address` leaves
    room for every chief of a node. A chief that reports every few seconds keeps its connection.
    """

    total: int = 4096
    per_address: int = 256
    rate: float = 50.0
    burst: int = 512


class Roster:
    """All open connections, the oldest first. `clock` is monotonic, in seconds."""

    def __init__(self, limits: ConnectionLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._opened = Buckets(limits.rate, limits.burst, clock, size=4096)
        self._address: dict[Hashable, str] = {}
        self._strangers: dict[Hashable, Callable[[], None]] = {}
        self._of: dict[str, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._address)

    def admit(self, connection: Hashable, address: str, abort: Callable[[], None]) -> bool:
        """Take a new connection in; False if it can't be.

        If there is no room, the oldest stranger makes some: one of the same address if that has too many, else
        anybody's. `abort` closes the connection at once, when its turn to make room has come.
        """
        if self._opened.try_take(address) > 0:
            return False
        mine = self._of.get(address, {})
        if len(mine) >= self._limits.per_address:
            oldest = next((one for one in mine if one in self._strangers), None)
        elif len(self._address) >= self._limits.total:
            oldest = next(iter(self._strangers), None)
        else:
            return self._enter(connection, address, abort)
        if oldest is None:
            return False
        give_up = self._strangers[oldest]
        self.lost(oldest)
        give_up()
        return self._enter(connection, address, abort)

    def trust(self, connection: Hashable) -> None:
        """A report that came over it was taken: it does not make room for strangers any more."""
        self._strangers.pop(connection, None)

    def lost(self, connection: Hashable) -> None:
        """It is closed; said twice, or of one that was not taken in, it changes nothing."""
        address = self._address.pop(connection, None)
        self._strangers.pop(connection, None)
        if address is not None:
            mine = self._of[address]
            del mine[connection]
            if not mine:
                del self._of[address]

    def _enter(self, connection: Hashable, address: str, abort: Callable[[], None]) -> bool:
        self._address[connection] = address
        self._strangers[connection] = abort
        self._of.setdefault(address, {})[connection] = None
        return True
