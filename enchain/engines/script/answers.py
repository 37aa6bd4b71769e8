"""One line that a script answered, read and checked. Pure; `conversation.py` calls it.

An answer is a JSON object with a field `enchain`, which says its kind. Any other line is for the log. What
has the field and is wrong is a `Fault`, never a guess.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from enchain.chains.values import Json

MARK = "enchain"
RETRY_SECONDS_MAX = 86_400
NAME_CHARS_MAX = 128
ACTIONS = ("create", "update", "replace", "delete", "none")
SEVERITIES = ("error", "warning", "info")
AUDIENCES = ("requester", "platform")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose fields are as they should be.

    Attributes:
        unknown: Fields that this version does not know; they are left out.
    """

    kind: str
    fields: Mapping[str, Json]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that breaks the contract, and how."""

    code: str
    summary: str


@dataclass(frozen=True, slots=True)
class _Field:
    check: Callable[[Any], bool]
    says: str
    required: bool = False


def _number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value <= high
    )


def _of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: value in words


def _name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= NAME_CHARS_MAX


_TEXT = _Field(_of(str), "a text")
_NEEDED_TEXT = _Field(_of(str), "a text", required=True)
_FLAG = _Field(_of(bool), "true or false")

_FIELDS: Mapping[str, Mapping[str, _Field]] = {
    "progress": {
        "message": _NEEDED_TEXT,
        "fraction": _Field(_number(0, 1), "a number from 0 to 1"),
    },
    "log": {"line": _NEEDED_TEXT},
    "diagnostic": {
        "summary": _NEEDED_TEXT,
        "severity": _Field(_one_of(*SEVERITIES), f"one of {', '.join(SEVERITIES)}"),
        "audience": _Field(_one_of(*AUDIENCES), f"one of {', '.join(AUDIENCES)}"),
        **dict.fromkeys(("code", "detail", "path", "remedy"), _TEXT),
    },
    "handle": {"data": _Field(_of(dict), "an object", required=True)},
    "output": {
        "name": _Field(_name, f"a text of 1 to {NAME_CHARS_MAX} characters", required=True),
        "value": _Field(lambda _: True, "a value", required=True),
    },
    "change": {
        "action": _Field(_one_of(*ACTIONS), f"one of {', '.join(ACTIONS)}", required=True),
        "address": _NEEDED_TEXT,
        "detail": _TEXT,
    },
    "result": {
        "ok": _Field(_of(bool), "true or false", required=True),
        "outputs": _Field(_of(dict), "an object"),
        "present": _FLAG,
        "summary": _TEXT,
        "left_behind": _FLAG,
        "retryable": _FLAG,
        "retry_after": _Field(_number(0, RETRY_SECONDS_MAX), f"seconds from 0 to {RETRY_SECONDS_MAX}"),
    },
}
KINDS = tuple(_FIELDS)


def read_answer(line: str) -> Answer | Fault | None:
    """Read a line; None where it is no answer."""
    try:
        said = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        if f'"{MARK}"' not in line:
            return None
        return Fault("ANSWER_MALFORMED", f"an answer is no JSON: {error}")
    if not isinstance(said, dict) or MARK not in said:
        return None
    kind = said.pop(MARK)
    if kind not in KINDS:
        return Fault("ANSWER_UNKNOWN", f"there is no answer {str(kind)[:40]!r}; there are {', '.join(KINDS)}")
    return _checked(kind, said)


def _checked(kind: str, said: dict[str, Any]) -> Answer | Fault:
    fields = _FIELDS[kind]
    for name, field in fields.items():
        if name not in said:
            if field.required:
                return Fault("ANSWER_MALFORMED", f"a {kind} lacks `{name}`")
        elif not field.check(said[name]):
            return Fault("ANSWER_MALFORMED", f"the `{name}` of a {kind} must be {field.says}")
    if not _encodable(said):
        return Fault("ANSWER_MALFORMED", f"a {kind} holds a text that is no valid Unicode")
    known = {name: value for name, value in said.items() if name in fields}
    return Answer(kind, known, tuple(sorted(set(said) - set(fields))))


def _encodable(said: Mapping[str, Any]) -> bool:
    try:
        json.dumps(said, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
