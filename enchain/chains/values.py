"""Values between their wire form (`enchain.v1.Value`) and plain Python.

Planes, SDK and client call it. Integers stay integers; a secret stays a reference; a hole stays a hole.
"""

from dataclasses import dataclass
from typing import Any

Json = Any
"""A JSON-like value: None, bool, int, float, str, list or dict of them, `SecretRef` or `TemplateText`."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret by reference, `STORE:NAME`. Only the engine instance that uses it resolves it."""

    ref: str


@dataclass(frozen=True, slots=True)
class EngineVariable:
    """A hole in a string that only the engine instance can fill, such as `${port}`."""

    name: str


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A string with holes: text and `EngineVariable`s in order."""

    parts: tuple[str | EngineVariable, ...]
