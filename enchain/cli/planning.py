"""How people write the times and the uplift of a planned event. Pure.

Documents (`enchain.cli.fields`) and `enchain events create` read with it, so that both take the same words.
"""

import re
from datetime import UTC, datetime

_UPLIFT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*x?", re.IGNORECASE)

LEARN = "learn"


class BadWordError(ValueError):
    """A word cannot be read.

    Attributes:
        cause: What is wrong with it; what it is about goes before.
        remedy: How to write it.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.cause = cause
        self.remedy = remedy


def read_time(text: str) -> datetime:
    """Read a time with its zone; answer it in UTC.

    Raises:
        BadWordError: It is no time, or has no zone: whose noon is meant would be a guess.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise BadWordError(f"is no time: {text!r}", "Write it as `2026-12-01T09:00:00Z`.") from error
    if time.tzinfo is None:
        remedy = f"Add `Z` for UTC, or an offset: `{text.strip()}Z`, `{text.strip()}+01:00`."
        raise BadWordError(f"has no time zone: {text!r}", remedy)
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise BadWordError(f"is no time in UTC: {text!r}", "Write a later one.") from error


def read_uplift(text: str) -> float | None:
    """Read `3x`, `3` or `0.5` as a factor, and `learn` as None.

    Raises:
        BadWordError: It is none of those. Whether a factor makes sense is the control plane's to say.
    """
    word = text.strip()
    if word.lower() == LEARN:
        return None
    match = _UPLIFT.fullmatch(word)
    if match is None:
        raise BadWordError(
            f"is no uplift: {text!r}",
            "Write what demand is multiplied by, such as `3x` or `0.5`, or `learn`.",
        )
    return float(match[1])
