"""Kubernetes quantities as numbers, to find the larger of two."""

from decimal import Decimal, InvalidOperation
from typing import Any

from trainingjob_client.tfjob.accepted import quantity

_SUFFIXES = {
    **{suffix: Decimal(10) ** power for suffix, power in {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9}.items()},
    **{suffix: Decimal(10) ** power for suffix, power in {"T": 12, "P": 15, "E": 18}.items()},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def amount(value: Any) -> "Decimal | None":
    """Return a quantity as a number, or None when it is none."""
    value = quantity(value)
    if value is None:
        return None
    text = str(value)
    suffix = next((suffix for suffix in _SUFFIXES if text.endswith(suffix)), "")
    try:
        # 1E is an exa, 1e3 a thousand: a suffix never has digits after it
        return Decimal(text.removesuffix(suffix)) * _SUFFIXES.get(suffix, Decimal(1))
    except InvalidOperation:
        return None
