"""Which engine instance takes a step: filters, then the less busy of two chosen at random. Pure.

The pool calls it. Power of two choices keeps routers that know nothing of each other from all choosing
the same instance. Dice and counts are arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from dataplane.routing.effects import Choose
from enchain.v1 import engine_pb2

EngineInstance = engine_pb2.EngineInstance


def suits(instance: EngineInstance, wanted: Choose) -> bool:
    """Whether an instance may take new work of this kind, places left aside."""
    return (
        instance.engine == wanted.engine
        and instance.state == EngineInstance.STATE_READY
        and (not wanted.version or instance.version == wanted.version)
        and (not wanted.scope or instance.scope == wanted.scope)
        and (not wanted.handle_schema or wanted.handle_schema in instance.handle_schemas)
        and (not wanted.update or engine_pb2.CAPABILITY_UPDATE in instance.capabilities)
    )


def load(instance: EngineInstance, running: Mapping[str, int]) -> float:
    """The part of its places that are taken, as this router knows it."""
    return running.get(instance.name, 0) / max(instance.capacity, 1)


def pick(
    instances: Sequence[EngineInstance],
    wanted: Choose,
    *,
    running: Mapping[str, int],
    reachable: Callable[[str], bool],
    rng: Random,
) -> EngineInstance | None:
    """Choose an instance with a place free; None where there is none.

    Args:
        instances: Those registered for the engine.
        wanted: What is looked for.
        running: Calls under way by instance name.
        reachable: False for an instance that did not answer lately.
        rng: The dice.
    """
    free = [i for i in instances if suits(i, wanted) and load(i, running) < 1]
    answering = [i for i in free if reachable(i.name)]
    candidates = answering or free
    if not candidates:
        return None
    two = rng.sample(candidates, min(2, len(candidates)))
    return min(two, key=lambda instance: load(instance, running))


def holder(
    instances: Sequence[EngineInstance],
    wanted: Choose,
    *,
    instance_name: str,
    reachable: Callable[[str], bool],
    rng: Random,
) -> EngineInstance | None:
    """Choose who is asked for work that may be under way: its instance, else another one of its scope.

    A draining instance still serves the keys that it knows.
    """
    of_scope = [i for i in instances if i.engine == wanted.engine and i.scope == wanted.scope]
    named = next((i for i in of_scope if i.name == instance_name), None)
    others = [i for i in of_scope if i.name != instance_name and suits(i, wanted)]
    if named is not None and (reachable(named.name) or not others):
        return named
    answering = [i for i in others if reachable(i.name)]
    candidates = answering or others
    return rng.choice(candidates) if candidates else None
