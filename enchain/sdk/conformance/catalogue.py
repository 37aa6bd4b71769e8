"""What a check is, how checks are declared, and how one says that it failed or does not apply. Pure.

The rooms of checks (`looking`, `joining`, …) declare theirs with a `Group`; `suite` runs them.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enchain.v1 import engine_pb2

if TYPE_CHECKING:
    from enchain.sdk.conformance.probe import Probe

Body = Callable[["Probe"], Awaitable[None]]


class CheckFailedError(Exception):
    """The engine breaks the rule; the message says how."""


class SkippedError(Exception):
    """The check does not apply; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and what tests it.

    Attributes:
        name: Stable; `--only` takes it.
        rule: A sentence.
        needs: Names of the samples without which it is skipped.
        capability: The capability without which it is skipped.
        restarts: It has to be able to kill the engine server and have it again.
        drains: It leaves the engine server drained.
    """

    name: str
    rule: str
    body: Body
    needs: tuple[str, ...] = ()
    capability: engine_pb2.Capability.ValueType | None = None
    restarts: bool = False
    drains: bool = False


class Group:
    """Checks in the order in which they were declared."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        """Answer the checks."""
        return iter(self._checks)

    def add(
        self,
        *needs: str,
        capability: engine_pb2.Capability.ValueType | None = None,
        restarts: bool = False,
        drains: bool = False,
    ) -> Callable[[Body], Body]:
        """Declare a check: its name is the function's, its rule the function's docstring."""

        def declare(body: Body) -> Body:
            rule = " ".join((inspect.getdoc(body) or "").split())
            name = getattr(body, "__name__", "").replace("_", "-")
            self._checks.append(Check(name, rule, body, needs, capability, restarts, drains))
            return body

        return declare


def require(holds: object, why: str) -> None:
    """Fail the check unless something holds.

    Raises:
        CheckFailedError: It does not.
    """
    if not holds:
        raise CheckFailedError(why)
