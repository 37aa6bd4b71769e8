"""The acts of the demonstration. Each asks enchain as a user would, and answers what came of it.

`examples.demo_experiment.__main__` plays them in order; `examples.demo_experiment.summary` says whether all
is as promised.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from enchain.chains.assignment import Assigner
from enchain.cli.documents import save
from enchain.client import Client
from enchain.v1 import chain_pb2, experiment_pb2, operation_pb2
from examples.demo_experiment.requests import Request, Sender, reason, short
from examples.demo_experiment.stage import WORKLOAD, experiment
from examples.demo_experiment.watching import Watched

MOST_REQUESTS = 1500
"""Of one experiment: far more than it takes."""

LIMIT_SECONDS = 240.0
"""An experiment that has not ended by then never does."""

SETTLE_SECONDS = 30.0
POLL_SECONDS = 0.25
AFTERWARDS = 12
"""Requests after the end of an experiment."""


@dataclass(slots=True)
class Scene:
    """What the acts share: a client, whom to tell, the load, and when all began (monotonic)."""

    client: Client
    tell: Callable[[str], None]
    sender: Sender
    began: float


@dataclass(frozen=True, slots=True)
class Sticky:
    """A resource that was updated after its experiment had ended, and what it had before and has now."""

    page: str
    failed: str
    before: tuple[str, str]
    after: tuple[str, str]


@dataclass(slots=True)
class Outcome:
    """What came of one experiment.

    Attributes:
        watched: What was seen while it ran; its last look is after everything had been counted.
        requests: Those that came while it ran.
        afterwards: Those that came after its end.
        route: The chain in force after its end.
        sticky: Resources that were updated after its end.
        moved: Pages whose arm is not the one that the client reckons.
        switch: The state of the switch that promotes the winner; what was in its way where there is none.
    """

    watched: Watched
    requests: list[Request]
    afterwards: list[Request]
    route: str
    sticky: list[Sticky]
    moved: list[str]
    switch: str = ""

    @property
    def arms(self) -> list[str]:
        """The arms, the control first."""
        return [arm.name for arm in self.watched.experiment.arms]


async def play(scene: Scene, identifier: str) -> Outcome:
    """Start an experiment, send requests until it has ended by itself, and look at what is then."""
    watched = Watched(f"{WORKLOAD}/experiments/{identifier}", scene.began)
    await save(scene.client, experiment(identifier), dry_run=False)
    request = experiment_pb2.StartExperimentRequest(name=watched.name)
    await scene.client.experiments.StartExperiment(request)
    requests = await _send_until_ended(scene, identifier, watched)
    switch = await _promoted(scene, watched)
    route = await _route(scene)
    afterwards = await scene.sender.send_while(f"{identifier}-after", lambda: True, most=AFTERWARDS)
    await _until_counted(scene, watched, requests)
    watched.tell_changes(scene.tell)
    sticky = [await _update(scene, page) for page in _one_of_each_arm(watched, requests)]
    return Outcome(watched, requests, afterwards, route, sticky, moved(watched.experiment, requests), switch)


async def _send_until_ended(scene: Scene, identifier: str, watched: Watched) -> list[Request]:
    until = time.monotonic() + LIMIT_SECONDS
    following = asyncio.create_task(
        watched.follow(scene.client.experiments, scene.tell), name=f"following {identifier}"
    )
    try:
        requests = await scene.sender.send_while(
            identifier,
            lambda: not following.done() and time.monotonic() < until,
            most=MOST_REQUESTS,
        )
        if following.done():
            following.result()  # it may have failed
        return requests
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _promoted(scene: Scene, watched: Watched) -> str:
    """Wait until the switch that promotes the winner has moved the route; answer its state.

    Its end takes longer: the new chain is watched for a while.
    """
    until = time.monotonic() + SETTLE_SECONDS
    while watched.experiment.conclusion.promotion_pending and time.monotonic() < until:
        await asyncio.sleep(POLL_SECONDS)
        await watched.look(scene.client.experiments)
    name = watched.experiment.conclusion.chain_switch
    while name:
        switch = await scene.client.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=name))
        if switch.state >= chain_pb2.ChainSwitch.STATE_DRAINING or time.monotonic() > until:
            return chain_pb2.ChainSwitch.State.Name(switch.state).removeprefix("STATE_").lower()
        await asyncio.sleep(POLL_SECONDS)
    return watched.experiment.conclusion.promotion_fault


async def _route(scene: Scene) -> str:
    route = await scene.client.chains.GetRoute(chain_pb2.GetRouteRequest(name=f"{WORKLOAD}/route"))
    return ", ".join(short(share.chain) for share in route.shares)


async def _until_counted(scene: Scene, watched: Watched, requests: list[Request]) -> None:
    """Look until everything that ended in an arm has been counted, or it takes too long."""
    arms = {arm.name for arm in watched.experiment.arms}
    expected = sum(request.arm in arms for request in requests)
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        await watched.look(scene.client.experiments)
        counted = sum(watched.counted().values())
        if counted >= expected or time.monotonic() > until:
            return
        await asyncio.sleep(POLL_SECONDS)


def _one_of_each_arm(watched: Watched, requests: list[Request]) -> list[str]:
    """Answer a page of each arm that was written."""
    written = {request.arm: request.page for request in requests if not request.failed}
    return [written[arm.name] for arm in watched.experiment.arms if arm.name in written]


async def _update(scene: Scene, page: str) -> Sticky:
    before = await scene.client.get_resource(page)
    failed = "it has no end"
    async for event in scene.client.update(page, {"name": page, "text": "Good evening"}):
        if isinstance(event, operation_pb2.OperationEvent) and event.HasField("ended"):
            failed = reason(event.ended)
    after = await scene.client.get_resource(page)
    return Sticky(page, failed, (before.arm, short(before.chain)), (after.arm, short(after.chain)))


def moved(seen: experiment_pb2.Experiment, requests: list[Request]) -> list[str]:
    """Answer the pages that are in another arm than their bucket says, reckoned here."""
    assigner, arms = Assigner(seen), {arm.name for arm in seen.arms}
    enrolled = [request for request in requests if request.arm in arms]
    places = [(request, assigner.hashed(request.page)[1]) for request in enrolled]
    return [request.page for request, place in places if place is None or place.arm != request.arm]
