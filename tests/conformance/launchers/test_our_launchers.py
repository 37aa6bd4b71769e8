"""Every launcher that ships keeps to every rule of the port."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.conformance.launchers.launcher_places import InMemory, RunByOthers, ThisMachine
from tests.conformance.launchers.launcher_rules import RULES, Place


@pytest.fixture(params=["process", "static", "memory"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Where a launcher's instances run; nothing is left there."""
    places: dict[str, Callable[[], Place]] = {
        "process": lambda: ThisMachine(tmp_path),
        "static": RunByOthers,
        "memory": InMemory,
    }
    place = places[request.param]()
    yield place
    await place.close()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_a_launcher_keeps_to_a_rule(place: Place, rule: Callable[[Place], Awaitable[None]]) -> None:
    await rule(place)
