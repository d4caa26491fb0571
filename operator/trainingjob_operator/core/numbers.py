"""Numbers as the status has them."""

import math

from trainingjob_operator.api.contract import encode_number


def plain_number(value: float | None) -> float | str | None:
    """Return six significant digits; a whole number stays an integer in JSON; non-finite ones as texts."""
    if value is None:
        return None
    if not math.isfinite(value):
        return encode_number(value)
    rounded = rounded_number(value)
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def rounded_number(value: float) -> float:
    """Return six significant digits of a finite number."""
    return float(f"{value:.6g}")
