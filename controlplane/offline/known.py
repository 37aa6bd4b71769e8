"""From what people write to what planning knows: chains that could be, engines, expectations. Pure."""

from collections.abc import Mapping, Sequence

from controlplane.offline.documents import CAPACITY, Choice, Expectation, Written, ways
from controlplane.planning.assembling import Known
from enchain.chains.names import workload_id
from enchain.v1 import chain_pb2, engine_pb2, forecast_pb2, profile_pb2

VERSION = "any"
"""Where no version is wanted: nothing is installed yet."""

REVISION = "offline"


def known_of(written: Written, forecasts: Mapping[str, forecast_pb2.Forecast], resources: int) -> Known:
    """Answer what is known of a workload before anything is installed."""
    every = ways(written.workload)
    choices = list(dict.fromkeys(choice for way in every for choice in way))
    return Known(
        workload=written.workload,
        chains=[_chain(written, way) for way in every],
        profiles=[profile for each in choices for profile in _profiles(each, written.expectations)],
        engines=_launchable(written.engines, choices),
        instances=[],
        forecasts=forecasts,
        resources=resources,
    )


def missing(written: Written) -> list[str]:
    """Answer what nobody stated: `terraform at configure`."""
    choices = dict.fromkeys(choice for way in ways(written.workload) for choice in way)
    return [
        f"{choice.engine} at {'+'.join(choice.steps)}"
        for choice in choices
        if _expected(choice, written.expectations) is None
    ]


def capacity_of(engine: str, expectations: Sequence[Expectation]) -> int:
    """Answer how many steps an instance of an engine runs at once."""
    return next((each.capacity for each in expectations if each.engine == engine), CAPACITY)


def _chain(written: Written, way: Sequence[Choice]) -> chain_pb2.Chain:
    engines = "+".join(choice.engine for choice in way)
    workload = workload_id(written.workload.name)
    return chain_pb2.Chain(
        name=f"workloads/{workload}/chains/{engines}@{REVISION}",
        steps=[
            chain_pb2.ChainStep(steps=choice.steps, engine=choice.engine, version=choice.version or VERSION)
            for choice in way
        ],
    )


def _expected(choice: Choice, expectations: Sequence[Expectation]) -> Expectation | None:
    """Answer the expectation that says most about a choice: one that names its steps before one for all."""
    fitting = [
        each
        for each in expectations
        if each.engine == choice.engine and (not each.steps or each.steps == set(choice.steps))
    ]
    return max(fitting, key=lambda each: len(each.steps), default=None)


def _profiles(choice: Choice, expectations: Sequence[Expectation]) -> list[profile_pb2.PerformanceProfile]:
    expected = _expected(choice, expectations)
    if expected is None:
        return []
    profile = profile_pb2.PerformanceProfile()
    profile.CopyFrom(expected.profile)
    profile.steps.extend(choice.steps)
    profile.version = choice.version or VERSION
    return [profile]


def _launchable(
    engines: Mapping[str, engine_pb2.Engine], choices: Sequence[Choice]
) -> dict[str, engine_pb2.Engine]:
    """Answer the engines' documents; on paper an instance of every engine can be started."""
    found = {}
    for name in sorted({choice.engine for choice in choices}):
        engine = engine_pb2.Engine()
        engine.CopyFrom(engines.get(name, engine_pb2.Engine(name=f"engines/{name}")))
        if not engine.launch.process:
            engine.launch.process.append(f"enchain-engine-{name}")
        found[name] = engine
    return found
