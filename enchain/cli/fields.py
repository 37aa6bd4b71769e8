"""One field of a document: read it as text, number, duration or mapping, or say precisely what is wrong.

`enchain.cli.kinds` calls it. Every error names file, line, field, cause and remedy.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from enchain.cli.planning import BadWordError, read_time, read_uplift
from enchain.cli.yamlfile import Document, DocumentError, Place, spell

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a document, present or not.

    Attributes:
        document: The document it stands in.
        place: Where it stands there.
        value: What it holds; None where it is absent.
    """

    document: Document
    place: Place
    value: Any

    def child(self, name: str) -> "Field":
        """Answer a field of this mapping; absent where it is not there."""
        return Field(self.document, (*self.place, name), self.mapping().get(name))

    def items(self) -> Iterator["Field"]:
        """Yield the items of this list."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            self.fail("is to be a list")
        for index, item in enumerate(self.value):
            yield Field(self.document, (*self.place, index), item)

    def entries(self) -> Iterator[tuple[str, "Field"]]:
        """Yield the fields of this mapping, in their order."""
        for name, value in self.mapping().items():
            yield name, Field(self.document, (*self.place, name), value)

    def mapping(self) -> dict[str, Any]:
        """Read it as a mapping; empty where it is absent."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            self.fail("is to be a mapping")
        return self.value

    def only(self, *names: str) -> "Field":
        """Refuse fields of other names, and answer itself."""
        for name, field in self.entries():
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                hint = f"Did you mean `{close[0]}`?" if close else f"Known are {', '.join(names)}."
                field.fail("is not known here", hint)
        return self

    def required(self) -> "Field":
        """Refuse absence, and answer itself."""
        if self.value is None:
            self.fail("is missing", f"Add `{self.place[-1]}: …`.")
        return self

    def text(self, default: str = "") -> str:
        """Read it as text."""
        if self.value is None:
            return default
        if not isinstance(self.value, str):
            self.fail(f"is to be text, and is {self.value!r}", "Put it in quotes.")
        return self.value

    def integer(self, default: int = 0) -> int:
        """Read it as a whole number."""
        if self.value is None:
            return default
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.fail(f"is to be a whole number, and is {self.value!r}")
        return self.value

    def number(self, default: float = 0.0) -> float:
        """Read it as a number."""
        if self.value is None:
            return default
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            self.fail(f"is to be a number, and is {self.value!r}")
        return float(self.value)

    def share(self) -> float:
        """Read `99.5%` or `0.995` as a share in 0..1."""
        if isinstance(self.value, str) and re.fullmatch(r"\d+(\.\d+)?%", self.value):
            share = float(self.value[:-1]) / 100
        else:
            share = self.number()
        if not 0 <= share <= 1:
            self.fail(f"is to be a share between 0 and 100 %, and is {self.value!r}", "Write it as `99.5%`.")
        return share

    def duration(self) -> Duration | None:
        """Read `90s`, `1h30m` or `250ms`; None where it is absent."""
        if self.value is None:
            return None
        text = str(self.value)
        parts = _DURATION.findall(text)
        if not parts or "".join(n + u for n, u in parts) != text:
            self.fail(f"is to be a duration, and is {self.value!r}", "Write it as `30s`, `5m` or `1h30m`.")
        answer = Duration()
        answer.FromTimedelta(timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in parts)))
        return answer

    def time(self) -> Timestamp | None:
        """Read a time with its zone, such as `2026-12-01T09:00:00Z`; None where it is absent."""
        if self.value is None:
            return None
        answer = Timestamp()
        try:
            answer.FromDatetime(read_time(str(self.value)))
        except BadWordError as error:
            self.fail(error.cause, error.remedy)
        return answer

    def uplift(self) -> float | None:
        """Read `3x`, a number, or `learn`, which is None, as is absence."""
        if self.value is None:
            return None
        try:
            return read_uplift(str(self.value))
        except BadWordError as error:
            self.fail(error.cause, error.remedy)

    def rate_per_hour(self) -> float:
        """Read `40/h`, `2/m` or `100/d` as a rate an hour."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)/(s|m|h|d)", str(self.value))
        if match is None:
            self.fail(f"is to be a rate, and is {self.value!r}", "Write it as `40/h`.")
        return float(match[1]) * 3600.0 / _UNITS[match[2]]

    def texts(self) -> list[str]:
        """Read it as a list of texts."""
        return [item.text() for item in self.items()]

    def text_map(self) -> dict[str, str]:
        """Read it as a mapping of texts."""
        return {name: field.text() for name, field in self.entries()}

    def fail(self, cause: str, remedy: str = "") -> NoReturn:
        """Say what is wrong with it.

        Raises:
            DocumentError: Always.
        """
        line = self.document.line_of(self.place)
        raise DocumentError(self.document.file, line, spell(self.place), cause, remedy)
