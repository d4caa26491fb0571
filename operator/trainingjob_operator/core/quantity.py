"""Kubernetes quantities as numbers, to compare requests with limits."""

import re
from decimal import Decimal

_SUFFIXES = {"": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")} | {
    letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)
} | {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}  # fmt: skip
_QUANTITY = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?$")


def parse_quantity(value: int | str) -> Decimal | None:
    """Return a quantity like 2, "500m", "1Gi" or "1e3" as a number; None when it is none."""
    match = _QUANTITY.match(str(value))
    if match is None:
        return None
    number, suffix, exponent = match.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])
