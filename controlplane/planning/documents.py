"""Problems and plans as messages, and back. Pure.

The planning loop, replays and offline recommendations call it. It must neither plan nor fill in what a
message leaves open, but for the defaults that the contract names.
"""

from collections.abc import Iterable

from google.protobuf import duration_pb2

from controlplane.planning.problem import (
    Call,
    Candidate,
    Concurrency,
    Demand,
    EngineVersion,
    Option,
    Plan,
    Policy,
    PoolFacts,
    PoolTarget,
    Problem,
    Promise,
    Reason,
)
from controlplane.planning.rules import HOLD_SECONDS
from enchain.chains.digests import sha256_of
from enchain.v1 import recommendation_pb2

UNBOUNDED_SECONDS = 315_576_000_000.0
"""What a time that is not finite is written as: the longest that a Duration may hold, 10,000 years."""

HYSTERESIS = 0.1
"""Where the policy names none."""

COOL_DOWN_SECONDS = 1800.0
"""Where the policy names none."""


def problem_of(inputs: recommendation_pb2.PlanningInputs) -> Problem:
    """Answer the problem that a message states."""
    moved = inputs.HasField("switch_time")
    return Problem(
        workload=inputs.workload,
        time=inputs.time.ToNanoseconds() / 1e9,
        demand=Demand(
            step_seconds=_seconds(inputs.step),
            levels=tuple(inputs.levels),
            rates=tuple(tuple(step.values) for step in inputs.demand),
            reactive_rate=inputs.reactive_rate,
            hold_seconds=_hold(inputs.policy),
        ),
        candidates=tuple(_candidate(chain) for chain in inputs.chains),
        pools=tuple(_facts(engine) for engine in inputs.engines),
        promise=Promise(
            _seconds(inputs.slo_p95), inputs.slo_success, inputs.miss_price, inputs.wait_price_per_hour
        ),
        policy=policy_of(inputs.policy),
        current=inputs.current_chain,
        switch_time=inputs.switch_time.ToNanoseconds() / 1e9 if moved else None,
        pinned=inputs.pinned,
        rejected=frozenset(inputs.rejected_chains),
        objections=tuple(sorted(inputs.objections.items())),
        settled=inputs.settled_chain,
        currency=inputs.currency_code,
        forecast=inputs.forecast,
    )


def _hold(policy: recommendation_pb2.PlanningPolicy) -> float:
    return _seconds(policy.scale_in_hold) if policy.HasField("scale_in_hold") else HOLD_SECONDS


def policy_of(message: recommendation_pb2.PlanningPolicy) -> Policy:
    """Answer a policy, its defaults filled in."""
    return Policy(
        hysteresis=message.hysteresis or HYSTERESIS,
        cool_down_seconds=_seconds(message.cool_down) if message.HasField("cool_down") else COOL_DOWN_SECONDS,
        exceed_max_by=message.exceed_max_by,
        exploration=message.exploration,
    )


def recommendation_of(
    plan: Plan, inputs: recommendation_pb2.PlanningInputs
) -> recommendation_pb2.Recommendation:
    """Answer the planned parts of a recommendation: all but its name, state, times and who decides."""
    message = recommendation_pb2.Recommendation(
        current_chain=inputs.current_chain,
        mode=inputs.policy.mode,
        rivals=[option_message(option) for option in plan.rivals],
        switches=plan.switches,
        binding_constraint=plan.binding,
        reasons=_reasons(plan.reasons),
        input_digest=sha256_of(inputs),
        forecast=inputs.forecast,
        currency_code=inputs.currency_code,
    )
    if plan.chosen is not None:
        message.chosen.CopyFrom(option_message(plan.chosen))
        message.quantile = plan.chosen.quantile
        message.lead_time.FromNanoseconds(_nanoseconds(plan.chosen.lead_seconds))
    return message


def inputs_as_planned(
    inputs: recommendation_pb2.PlanningInputs, plan: Plan
) -> recommendation_pb2.PlanningInputs:
    """Answer the inputs of a plan made together with others, such that they have that plan by themselves."""
    planned = recommendation_pb2.PlanningInputs()
    planned.CopyFrom(inputs)
    planned.settled_chain = plan.problem.settled
    del planned.engines[:]
    planned.engines.extend(_facts_message(pool) for pool in plan.problem.pools)
    return planned


def option_message(option: Option) -> recommendation_pb2.ChainOption:
    """Answer one way to meet the demand as a message."""
    message = recommendation_pb2.ChainOption(
        chain=option.chain,
        cost_per_hour=option.cost.total,
        instances_cost=option.cost.instances,
        requests_cost=option.cost.requests,
        misses_cost=option.cost.misses,
        waiting_cost=option.cost.waiting,
        switching_cost=option.cost.switching,
        miss_probability=option.miss_probability,
        success=option.success,
        pools=[_pool(pool) for pool in option.pools],
        samples=option.samples,
        reasons=_reasons(option.reasons),
        feasible=option.feasible,
        explore_share=option.explore_share,
    )
    message.p95.FromNanoseconds(_nanoseconds(option.p95_seconds))
    return message


def _pool(pool: PoolTarget) -> recommendation_pb2.PoolPlan:
    return recommendation_pb2.PoolPlan(
        engine=pool.engine.engine,
        version=pool.engine.version,
        now=pool.now,
        target=pool.target,
        targets=pool.targets,
        load=[round(load, 6) for load in pool.load],
        share=pool.share,
    )


def _reasons(reasons: Iterable[Reason]) -> list[recommendation_pb2.PlanReason]:
    return [recommendation_pb2.PlanReason(reason=code, description=words) for code, words in reasons]


def _candidate(message: recommendation_pb2.CandidateChain) -> Candidate:
    return Candidate(message.chain, tuple(_call(step) for step in message.steps))


def _call(message: recommendation_pb2.CandidateStep) -> Call:
    return Call(
        steps=tuple(message.steps),
        engine=EngineVersion(message.engine, message.version),
        samples=message.samples,
        mean_seconds=message.mean_seconds,
        p50_seconds=message.p50_seconds,
        p95_seconds=message.p95_seconds,
        p99_seconds=message.p99_seconds,
        variation=message.variation,
        success=message.success,
        attempts=max(1.0, message.attempts),
        cost=message.cost,
        concurrency=tuple(
            Concurrency(point.in_flight, point.seconds, point.samples) for point in message.concurrency
        ),
    )


def _facts(message: recommendation_pb2.EngineFacts) -> PoolFacts:
    return PoolFacts(
        engine=EngineVersion(message.engine, message.version),
        price_per_hour=message.price_per_hour,
        price_per_request=message.price_per_request,
        minimum=message.min,
        maximum=message.max or None,
        capacity=max(1, message.capacity),
        ready=message.ready,
        target=message.target,
        launchable=message.launchable,
        pinned=message.pinned,
        cold_start_seconds=message.cold_start_p95_seconds,
        floor=message.floor,
        other_load=tuple(message.other_load),
        other_seconds=message.other_seconds,
        other_variation=message.other_variation,
        others_target=message.others_target,
    )


def inputs_of(problem: Problem) -> recommendation_pb2.PlanningInputs:
    """State a problem as a message. The mode of its policy is left open: planning does not know it."""
    message = recommendation_pb2.PlanningInputs(
        workload=problem.workload,
        levels=problem.demand.levels,
        demand=[recommendation_pb2.DemandQuantiles(values=step) for step in problem.demand.rates],
        reactive_rate=problem.demand.reactive_rate,
        chains=[_chain_message(candidate) for candidate in problem.candidates],
        engines=[_facts_message(pool) for pool in problem.pools],
        slo_success=problem.promise.success,
        miss_price=problem.promise.miss_price,
        wait_price_per_hour=problem.promise.wait_price_per_hour,
        currency_code=problem.currency,
        current_chain=problem.current,
        policy=recommendation_pb2.PlanningPolicy(
            hysteresis=problem.policy.hysteresis,
            exceed_max_by=problem.policy.exceed_max_by,
            exploration=problem.policy.exploration,
        ),
        pinned=problem.pinned,
        forecast=problem.forecast,
        rejected_chains=sorted(problem.rejected),
        objections=dict(problem.objections),
        settled_chain=problem.settled,
    )
    message.time.FromNanoseconds(_nanoseconds(problem.time))
    message.step.FromNanoseconds(_nanoseconds(problem.demand.step_seconds))
    message.slo_p95.FromNanoseconds(_nanoseconds(problem.promise.p95_seconds))
    message.policy.cool_down.FromNanoseconds(_nanoseconds(problem.policy.cool_down_seconds))
    message.policy.scale_in_hold.FromNanoseconds(_nanoseconds(problem.demand.hold_seconds))
    if problem.switch_time is not None:
        message.switch_time.FromNanoseconds(_nanoseconds(problem.switch_time))
    return message


def _chain_message(candidate: Candidate) -> recommendation_pb2.CandidateChain:
    return recommendation_pb2.CandidateChain(
        chain=candidate.chain, steps=[_step_message(call) for call in candidate.calls]
    )


def _step_message(call: Call) -> recommendation_pb2.CandidateStep:
    return recommendation_pb2.CandidateStep(
        steps=call.steps,
        engine=call.engine.engine,
        version=call.engine.version,
        samples=call.samples,
        mean_seconds=call.mean_seconds,
        p50_seconds=call.p50_seconds,
        p95_seconds=call.p95_seconds,
        p99_seconds=call.p99_seconds,
        variation=call.variation,
        success=call.success,
        attempts=call.attempts,
        cost=call.cost,
        concurrency=[
            recommendation_pb2.ConcurrencySeconds(
                in_flight=point.in_flight, seconds=point.seconds, samples=point.samples
            )
            for point in call.concurrency
        ],
    )


def _facts_message(pool: PoolFacts) -> recommendation_pb2.EngineFacts:
    return recommendation_pb2.EngineFacts(
        engine=pool.engine.engine,
        version=pool.engine.version,
        price_per_hour=pool.price_per_hour,
        price_per_request=pool.price_per_request,
        min=pool.minimum,
        max=pool.maximum or 0,
        capacity=pool.capacity,
        ready=pool.ready,
        target=pool.target,
        launchable=pool.launchable,
        pinned=pool.pinned,
        cold_start_p95_seconds=pool.cold_start_seconds,
        floor=pool.floor,
        other_load=pool.other_load,
        other_seconds=pool.other_seconds,
        other_variation=pool.other_variation,
        others_target=pool.others_target,
    )


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.ToNanoseconds() / 1e9


def _nanoseconds(seconds: float) -> int:
    return round(min(seconds, UNBOUNDED_SECONDS) * 1e9)
