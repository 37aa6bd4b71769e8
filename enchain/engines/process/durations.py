"""Durations as people write them (`500ms`, `10s`, `1m30s`) to seconds.

Called by the spec alone, so that this spelling is read in one place. Pure.
"""

import re

PATTERN = r"^([0-9]+(ms|s|m|h))+$"
"""JSON Schema pattern of a duration."""

_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_seconds(text: str) -> float:
    """Answer how many seconds a duration has; `ValueError` where it is none."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not a duration such as 500ms, 10s or 1m30s")
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
