"""The life of experiments over gRPC, on real etcd."""

import asyncio

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.pool_needs import Needs
from controlplane.catalog.promotions import Promotions
from enchain.chains.decision_names import ExperimentName, PoolName
from enchain.chains.errors import (
    AlreadyExistsError,
    PreconditionError,
)
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode
from enchain.v1 import chain_pb2, experiment_pb2, presence_pb2
from tests.harness.controlplane import refusal, schema
from tests.harness.experiments import Experiment, Experiments, experiment, name, part
from tests.harness.site import (
    PARENT,
    ROUTE,
    create_chain,
    get_chain,
    routed_to,
    site_workload,
    switch,
    update,
)


async def test_the_shortest_document_gets_its_defaults_and_a_seed(ab: Experiments) -> None:
    made = await ab.create()

    assert (made.state, made.unit, made.coverage) == (Experiment.STATE_DRAFT, "resource", 100)
    assert [(each.metric, each.tolerance) for each in made.guardrails] == [("success", 0.005)]
    assert made.goal.better == experiment_pb2.ExperimentMetric.BETTER_LOWER
    assert made.time_limit.ToTimedelta().days == 14
    assert [(each.number, each.hash_version) for each in made.phases] == [(1, 2)]
    assert made.phases[0].seed
    assert not made.phases[0].HasField("start_time")
    assert [each.kind for each in made.history] == ["CREATED"]
    assert await ab.get() == made


async def test_creating_the_same_again_writes_nothing_and_another_is_refused(ab: Experiments) -> None:
    made = await ab.create()
    before = await ab.plane.contents()

    assert await ab.create() == made
    assert await ab.plane.contents() == before
    assert isinstance(await refusal(ab.create(experiment(goal="cost"))), AlreadyExistsError)


async def test_a_draft_may_be_rewritten_and_is_hashed_anew_where_that_matters(ab: Experiments) -> None:
    made = await ab.create()

    described = await ab.update(experiment(description="why"))
    other = await ab.update(experiment({"default": 20, "via-files": 80}))

    assert described.phases[0].seed == made.phases[0].seed
    assert other.phases[0].seed != made.phases[0].seed
    assert [each.end - each.start for each in other.phases[0].ranges] == [2000, 8000]


async def test_starting_pins_chains_and_writes_the_route(ab: Experiments) -> None:
    await ab.create()
    _, before = await ab.route()

    made = await ab.start()
    route, after = await ab.route()

    assert made.state == Experiment.STATE_RUNNING
    assert [arm.chain for arm in made.arms] == [
        (await get_chain(ab.plane, chain)).name for chain in ("default", "via-files")
    ]
    assert made.phases[0].HasField("start_time")
    assert list(route.experiments) == [name()]
    assert after > before
    assert await ab.start() == made, "starting again answers it"


async def test_every_change_of_a_running_one_writes_the_route(ab: Experiments) -> None:
    await ab.running()

    for change in (
        ab.cover(50),
        ab.weigh({"default": 10, "via-files": 90}),
        ab.pause(),
        ab.resume(),
        ab.update(experiment({"default": 10, "via-files": 90}, coverage=50, forced={"me": "default"})),
        ab.conclude(),
    ):
        _, before = await ab.route()
        await change
        assert (await ab.route())[1] > before
    assert not (await ab.route())[0].experiments


async def test_a_new_weight_is_a_new_phase_with_a_new_seed(ab: Experiments) -> None:
    before = await ab.running(experiment(coverage=40))

    after = await ab.weigh({"default": 25, "via-files": 75}, reason="more of it")

    assert [each.number for each in after.phases] == [1, 2]
    assert after.phases[0].end_time == after.phases[1].start_time
    assert after.phases[1].seed not in ("", before.phases[0].seed)
    assert [each.end - each.start for each in after.phases[1].ranges] == [1000, 3000]
    assert (after.history[-1].kind, after.history[-1].description) == ("WEIGHTS", "more of it")
    assert await ab.weigh({"default": 25, "via-files": 75}) == after, "the same weights begin no phase"


async def test_coverage_keeps_each_arm_at_its_edge_and_ends_a_ramp(ab: Experiments) -> None:
    ramp = experiment_pb2.Ramp(steps=[1, 50])
    started = await ab.running(experiment(ramp=ramp))

    after = await ab.cover(60)

    assert started.phases[0].coverage == 1
    assert [(each.start, each.end) for each in after.phases[0].ranges] == [(0, 3000), (5000, 8000)]
    assert after.phases[0].seed == started.phases[0].seed
    assert not after.HasField("ramp")


async def test_applying_the_document_again_while_it_runs_changes_nothing(ab: Experiments) -> None:
    await ab.running()
    before = await ab.plane.contents()

    await ab.update(experiment())

    assert await ab.plane.contents() == before


async def test_parts_of_a_layer_never_overlap_and_are_free_again_at_the_end(ab: Experiments) -> None:
    await ab.running(experiment(layer=part(0, 500)))
    await ab.create(experiment(layer=part(499, 1000)), "second")
    error = await refusal(ab.start("second"))
    await ab.update(experiment(layer=part(500, 1000)), "second")
    await ab.start("second")
    both = await ab.layer()
    await ab.conclude()

    assert isinstance(error, PreconditionError)
    assert error.reason == "LAYER_OVERLAP"
    assert "free: 500 to 1000" in error.remedy
    assert both == [(name(), 0, 500), (name("second"), 500, 1000)]
    assert await ab.layer() == [(name("second"), 500, 1000)]
    assert list((await ab.route())[0].experiments) == [name("second")]


async def test_two_that_start_at_once_do_not_both(ab: Experiments) -> None:
    await ab.create(experiment_id="one")
    await ab.create(experiment_id="two")

    answers = await asyncio.gather(ab.start("one"), ab.start("two"), return_exceptions=True)

    assert sum(isinstance(each, Experiment) for each in answers) == 1
    assert len((await ab.route())[0].experiments) == 1


async def test_concluding_with_promotion_begins_a_switch_to_the_winner(ab: Experiments) -> None:
    started = await ab.running()

    ended = await ab.conclude("via-files", promote=True, reason="it is quicker")

    assert ended.state == Experiment.STATE_CONCLUDED
    assert ended.conclusion.winner == "via-files"
    assert (ended.conclusion.reason, ended.conclusion.description) == ("OPERATOR", "it is quicker")
    assert ended.conclusion.chain_switch
    assert not ended.conclusion.promotion_pending
    assert await routed_to(ab.plane) == started.arms[1].chain


async def test_a_promotion_is_given_up_where_somebody_moved_the_route_since(ab: Experiments) -> None:
    store = ab.plane.store
    await ab.running()
    await ab.plane.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit"))
    await ab.conclude("via-files", promote=True)
    await ab.plane.chains.UnpinRoute(chain_pb2.UnpinRouteRequest(name=ROUTE))
    await create_chain(ab.plane, "third", {"serve": "files"})
    moved = await switch(ab.plane, f"{PARENT}/chains/third")

    promotions = Promotions(store, stamper(SystemClock()))
    after = await promotions.begin(ExperimentName("site", "ab"), Caller("test"))

    assert not after.conclusion.promotion_pending
    assert moved.name in after.conclusion.promotion_fault
    assert not after.conclusion.chain_switch
    assert (await ab.route())[0].chain_switch == moved.name


async def test_a_conclusion_says_why_its_switch_cannot_be_begun(ab: Experiments) -> None:
    before = (await ab.running()).arms[0].chain
    await ab.plane.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit"))

    ended = await ab.conclude("via-files", promote=True)

    assert ended.conclusion.promotion_pending
    assert "pinned" in ended.conclusion.promotion_fault
    assert not ended.conclusion.chain_switch
    assert await routed_to(ab.plane) == before


async def test_pools_of_arms_are_needed_while_it_runs_or_is_paused(ab: Experiments) -> None:
    ansible = PoolName("ansible", "1.0")
    text = {"type": "string"}
    await ab.plane.start_engine("ansible", schema({"name": text}, ["files", "url"]))
    changed = site_workload()
    changed.steps[0].implementations.add(engine="ansible").inputs["name"].string_value = "x"
    await update(ab.plane, changed)
    await create_chain(ab.plane, "via-ansible", {"configure": "ansible"})
    needs = Needs(ab.plane.store)

    before = await needs.now()
    await ab.running(experiment({"default": 50, "via-ansible": 50}))
    await ab.pause()
    during = await needs.now()
    await ab.conclude()

    assert ansible not in before
    assert during[ansible].routes == ("site",)
    assert ansible not in await needs.now()


async def test_assign_answers_bucket_range_and_reason(ab: Experiments) -> None:
    await ab.create(experiment(forced={"tester": "via-files"}, coverage=60))
    draft = await ab.assign("one")
    await ab.start()
    found = [await ab.assign(f"key-{number}") for number in range(20)]
    forced = await ab.assign("tester")

    assert draft.reason == "NOT_RUNNING"
    assert {each.reason for each in found} == {"ENROLLED", "OUTSIDE_COVERAGE"}
    assert all(each.start <= each.bucket < each.end for each in found if each.arm)
    assert (forced.arm, forced.reason) == ("via-files", "FORCED")


async def test_every_change_is_audited_with_actor_and_reason(ab: Experiments) -> None:
    await ab.running()
    await ab.pause(reason="lunch", request_id="req-7")

    records = [
        decode(presence_pb2.AuditRecord, value)
        for key, value in (await ab.plane.contents()).items()
        if key.startswith(keys.AUDIT)
    ]
    paused = [each for each in records if each.method.endswith("/PauseExperiment")]
    made = await ab.get()

    assert [(each.target, each.reason, each.request_id) for each in paused] == [(name(), "lunch", "req-7")]
    assert paused[0].before["state"] == "STATE_RUNNING"
    assert paused[0].after["state"] == "STATE_PAUSED"
    assert [each.kind for each in made.history] == ["CREATED", "STARTED", "PAUSED"]
    assert made.history[-1].description == "lunch"


async def test_lists_leave_out_history_and_evidence(ab: Experiments) -> None:
    await ab.create(experiment_id="one")
    await ab.create(experiment_id="two")

    answer = await ab.stub.ListExperiments(
        experiment_pb2.ListExperimentsRequest(parent="workloads/-", page_size=1)
    )
    rest = await ab.stub.ListExperiments(
        experiment_pb2.ListExperimentsRequest(parent="workloads/-", page_token=answer.next_page_token)
    )

    assert [each.name for each in (*answer.experiments, *rest.experiments)] == [name("one"), name("two")]
    assert not answer.experiments[0].history


async def test_validating_a_start_writes_nothing(ab: Experiments) -> None:
    await ab.create()
    before = await ab.plane.contents()

    answer = await ab.start(validate_only=True)

    assert answer.state == Experiment.STATE_RUNNING
    assert await ab.plane.contents() == before
