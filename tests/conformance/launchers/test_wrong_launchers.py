"""Each rule catches the launcher that breaks it."""

import pytest

from controlplane.switching.launchers.memory import MemoryLauncher
from controlplane.switching.launchers.port import Launcher
from enchain.chains.errors import EnchainError
from tests.conformance.launchers.launcher_places import InMemory
from tests.conformance.launchers.launcher_rules import RULES
from tests.conformance.launchers.wrong_launchers import WRONG

BY_NAME = {rule.__name__: rule for rule in RULES}


class WrongPlace(InMemory):
    """A place whose launchers are wrong."""

    def __init__(self, kind: type[MemoryLauncher]) -> None:
        super().__init__()
        self._kind = kind

    def launcher(self) -> Launcher:
        return self._kind(self.places)


@pytest.mark.parametrize(("rule", "kind"), WRONG, ids=[kind.__name__ for _, kind in WRONG])
async def test_a_rule_catches_the_launcher_that_breaks_it(rule: str, kind: type[MemoryLauncher]) -> None:
    with pytest.raises((AssertionError, EnchainError)):
        await BY_NAME[rule](WrongPlace(kind))


def test_every_rule_has_a_launcher_that_breaks_it() -> None:
    assert {rule for rule, _ in WRONG} == set(BY_NAME)
