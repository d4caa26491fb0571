"""Compares results of programs: nested dictionaries and lists of numbers, as JSON has them."""

from typing import Any


def differences(expected: Any, found: Any, relative: float = 1e-5, floor: float = 1e-2, path: str = "") -> list[str]:
    """Return what differs, as sentences. Numbers are close within `relative` of the larger of the expected and `floor`.

    The floor is there for weights near zero, whose rounding is that of the sums that they come from.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() != found.keys():
            return [f"{path}: keys {sorted(found)} instead of {sorted(expected)}"]
        pairs: Any = [(expected[key], found[key], f"{path}/{key}") for key in expected]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return [f"{path}: {len(found)} elements instead of {len(expected)}"]
        pairs = [(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(expected, found, strict=True))]
    elif isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        is_close = abs(expected - found) <= relative * max(abs(expected), floor)
        return [] if is_close else [f"{path}: {found} instead of {expected}"]
    else:
        return [] if expected == found else [f"{path}: {found!r} instead of {expected!r}"]
    return [line for a, b, where in pairs for line in differences(a, b, relative, floor, where)]
