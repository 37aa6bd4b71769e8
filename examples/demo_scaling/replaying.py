"""One trace, replayed: requests for all policies at once, while each policy keeps its instances.

A value of the trace takes `STEP` seconds instead of five minutes. `enchain` is told forecasts in that
compressed time, made from what has passed; what it does with them is its own loops' business. `reactive` and
`static` are told how many instances to keep.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray
from enchain.chains.decision_names import RecommendationName
from enchain.client import Client
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, Store, put
from enchain.v1 import chain_pb2, forecast_pb2, recommendation_pb2
from examples.demo_scaling import forecasting, hindsight
from examples.demo_scaling.ahead import needed_at, taken_at
from examples.demo_scaling.requests import Request, Sender, arrivals
from examples.demo_scaling.setting_out import set_out
from examples.demo_scaling.stage import (
    BOOT_SECONDS,
    INSTANCES_MAX,
    POLICIES,
    Stage,
    keep,
    plan_by,
)
from examples.demo_scaling.traces import Replay
from examples.demo_scaling.watching import Watched

STEP = 0.5
HOUR = 3600.0
EVERY = 2
"""Steps between two forecasts: ten minutes of the trace."""

LEAD_SECONDS = BOOT_SECONDS + 1.5
"""What instances take to start, as reactive scaling's headroom is chosen for."""


@dataclass(slots=True)
class Outcome:
    """What came of a trace.

    Attributes:
        replay: The trace.
        requests: All requests of all policies.
        watched: What was seen.
        headroom: Reactive scaling's.
        static: How many instances the static chain kept.
        switches: Those of `enchain`, oldest first.
        began: When the replay began, seconds since the epoch.
        recommendations: What `enchain` recommended, oldest first.
        needed: By switch, the first step from it on whose demand takes its chain; None where none does.
    """

    replay: Replay
    requests: list[Request]
    watched: Watched
    headroom: float
    static: int
    switches: list[chain_pb2.ChainSwitch]
    began: float
    recommendations: list[recommendation_pb2.Recommendation]
    needed: list[int | None]


async def replay(
    trace: Replay, client: Client, store: Store, pool: ProcessPoolExecutor, tell: Callable[[str], None]
) -> Outcome:
    """Replay a trace for all policies at once."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(pool, forecasting.begin, trace.name, trace.past)
    times = arrivals(trace.coming, STEP, np.random.default_rng(1))
    headroom = hindsight.best_headroom(trace.past, trace.coming, times, step=STEP, lead=LEAD_SECONDS)
    static = hindsight.instances([float(np.quantile(trace.past[-288:], 0.95))], 1.3)
    tell(f"  headroom of reactive scaling, in hindsight: {headroom}; static: {static} instances")
    seen = trace.past[-hindsight.WINDOW :]
    kept = hindsight.instances(seen.tolist(), headroom)
    fan = await loop.run_in_executor(pool, forecasting.ask, trace.name, trace.coming[:0])

    async def foretell() -> None:
        await _tell(store, compressed(fan, time.time() - STEP, float(seen.max())))

    planned_since = time.time()
    await set_out(client, {"reactive": kept, "static": static}, foretell)
    began, wall = time.monotonic(), time.time()
    sender, watched = Sender(client), Watched()
    async with asyncio.TaskGroup() as tasks:
        for policy in POLICIES:
            tasks.create_task(sender.send_all(policy, times, began), name=f"requests of {policy}")
        tasks.create_task(_forecast(trace, store, pool, watched, began), name="forecasts")
        tasks.create_task(_react(trace, client, headroom, began), name="reactive scaling")
        tasks.create_task(_watch(client, watched, began, len(trace.coming), tell), name="watching")
    await plan_by(client, Stage("enchain"), recommendation_pb2.PLANNING_MODE_FORECAST_ONLY)
    switches = await _switches(client, planned_since)
    return Outcome(
        trace, sender.done, watched, headroom, static,
        switches, wall, await _recommendations(client, planned_since),
        [await _needed(store, trace, switch, wall) for switch in switches],
    )  # fmt: skip


async def _forecast(
    trace: Replay, store: Store, pool: ProcessPoolExecutor, watched: Watched, began: float
) -> None:
    """Write a forecast every few steps, each from what has passed."""
    loop = asyncio.get_running_loop()
    for step in range(0, len(trace.coming), EVERY):
        await _until(began + step * STEP)
        fan = await loop.run_in_executor(pool, forecasting.ask, trace.name, trace.coming[:step])
        watched.fans[step] = fan
        seen = np.concatenate([trace.past[-hindsight.WINDOW :], trace.coming[:step]])
        origin = time.time() - (time.monotonic() - began) + (step - 1) * STEP
        message = compressed(fan, origin, float(seen[-hindsight.WINDOW :].max()))
        await _tell(store, message)


async def _tell(store: Store, forecast: forecast_pb2.Forecast) -> None:
    await put(store, [Put(keys.forecast(Stage("enchain").workload, "requests-5m"), encode(forecast))])


def compressed(fan: FloatArray, origin: float, recent_max: float) -> forecast_pb2.Forecast:
    """Answer a forecast in compressed time.

    Args:
        fan: Shape (horizon, levels), requests a second.
        origin: Time of the last value seen, seconds since the epoch.
        recent_max: The most of the last half hour of the trace, requests a second.
    """
    message = forecast_pb2.Forecast(
        signal=forecast_pb2.DEMAND_SIGNAL_REQUESTS,
        unit="{request}/h",
        levels=LEVELS.tolist(),
        steps=[forecast_pb2.ForecastStep(quantiles=(HOUR * step).tolist()) for step in fan],
        recent_max=HOUR * recent_max,
    )
    message.origin_time.FromNanoseconds(round(origin * 1e9))
    message.step.FromNanoseconds(round(STEP * 1e9))
    message.create_time.GetCurrentTime()
    return message


async def _react(trace: Replay, client: Client, headroom: float, began: float) -> None:
    """Scale reactively, step by step."""
    kept = 0
    for step in range(len(trace.coming)):
        await _until(began + step * STEP)
        seen = np.concatenate([trace.past[-hindsight.WINDOW :], trace.coming[:step]])
        wanted = min(INSTANCES_MAX, hindsight.instances(seen.tolist(), headroom))
        if wanted != kept:
            await keep(client, Stage("reactive"), wanted, "reactive scaling")
            kept = wanted


async def _watch(
    client: Client, watched: Watched, began: float, steps: int, tell: Callable[[str], None]
) -> None:
    for step in range(steps + 1):
        await _until(began + step * STEP)
        await watched.look(client, time.monotonic() - began)
        if step % 30 == 0:
            counts = ", ".join(f"{policy} {watched.ready[policy][-1]}" for policy in POLICIES)
            tell(f"  step {step:3d} of {steps}: chain {watched.chains[-1]}; instances: {counts}")


async def _switches(client: Client, since: float) -> list[chain_pb2.ChainSwitch]:
    answer = await client.chains.ListChainSwitches(
        chain_pb2.ListChainSwitchesRequest(parent=f"workloads/{Stage('enchain').workload}")
    )
    return [
        each for each in reversed(answer.chain_switches) if each.create_time.ToMilliseconds() >= 1e3 * since
    ]


async def _recommendations(client: Client, since: float) -> list[recommendation_pb2.Recommendation]:
    answer = await client.recommendations.ListRecommendations(
        recommendation_pb2.ListRecommendationsRequest(parent=f"workloads/{Stage('enchain').workload}")
    )
    return [
        each for each in reversed(answer.recommendations) if each.create_time.ToMilliseconds() >= 1e3 * since
    ]


async def _needed(store: Store, trace: Replay, switch: chain_pb2.ChainSwitch, wall: float) -> int | None:
    """Answer from which step on demand needed a switch, by the inputs of its recommendation."""
    if not switch.recommendation:
        return None
    name = RecommendationName.parse(switch.recommendation)
    item = await store.get(keys.recommendation_inputs(name.workload, name.recommendation))
    if item is None:
        return None
    inputs = decode(recommendation_pb2.PlanningInputs, item.value, key=item.key)
    decided = int((switch.create_time.ToMilliseconds() / 1e3 - wall) / STEP)
    chain = switch.to.shares[0].chain
    # Single values wander; half an hour of them is what a person would call the demand of the moment.
    known = np.concatenate([trace.past[-hindsight.WINDOW + 1 :], trace.coming])
    means = np.convolve(known, np.full(hindsight.WINDOW, 1 / hindsight.WINDOW), mode="valid")
    return needed_at(taken_at(inputs), chain, means.tolist(), decided, forecasting.HORIZON)


async def _until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - time.monotonic()))
