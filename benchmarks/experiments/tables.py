"""The tables that `python -m benchmarks.experiments` prints, one function each."""

from functools import partial

import numpy as np

from benchmarks.experiments import judges
from benchmarks.experiments import speed as measuring
from benchmarks.experiments.sums import ArmSums
from benchmarks.experiments.watching import Judge, Outcome, watch
from benchmarks.experiments.worlds import Runs, World
from controlplane.experiments import contrasts, cuped, msprt, rare, ratio
from controlplane.experiments.confidence import log_evidence, points, relative
from controlplane.experiments.msprt import Floats

LEVEL = 0.05

EVENTS_MIN = 5
"""Failures of the control before which the strict test of a guardrail says nothing."""

WITHIN = 0.15
"""How much later than the peer a decision may come."""

CHI_SQUARE = 10.828
"""What one degree of freedom exceeds with a chance of .001."""

PEER_VALID = 0.05
"""Below this share the peer, without smallest numbers, finds differences where there are none."""

TWO = (0.5, 0.5)

SAME = (
    World("share of 30 %", "share", "bernoulli", 0.3),
    World("share of 10 %", "share", "bernoulli", 0.1),
    World("failures of 2 %", "share", "bernoulli", 0.02),
    World("failures of 1 %", "share", "bernoulli", 0.01),
    World("failures of 1 %, 10:90", "share", "bernoulli", 0.01, weight=0.1),
    World("cost (gamma)", "mean", "gamma"),
    World("time, lognormal, deviation 1", "mean", "lognormal", spread=1.0),
    World("time, lognormal, deviation 2", "mean", "lognormal", spread=2.0),
    World("time, lognormal, deviation 2, 10:90", "mean", "lognormal", spread=2.0, weight=0.1),
    World("time, Pareto, tail 2.1", "mean", "pareto", spread=2.1),
    World("P95, lognormal, deviation 1", "p95", "lognormal", spread=1.0),
    World("P95, lognormal, deviation 2", "p95", "lognormal", spread=2.0),
    World("P95, lognormal, deviation 1, 10:90", "p95", "lognormal", spread=1.0, weight=0.1),
    World("failures of 2 %, 500 tenants", "share", "bernoulli", 0.02, tenants=500),
    World("share of 30 %, 500 tenants", "share", "bernoulli", 0.3, tenants=500),
    World("cost (gamma), 500 tenants", "mean", "gamma", tenants=500),
    World("time, lognormal, 500 tenants", "mean", "lognormal", spread=1.0, tenants=500),
    World("time, lognormal, 100 tenants", "mean", "lognormal", spread=1.0, tenants=100),
    World("P95, lognormal, 500 tenants", "p95", "lognormal", spread=1.0, tenants=500),
    World("P95, lognormal, 100 tenants", "p95", "lognormal", spread=1.0, tenants=100),
    World("P95, uneven, 500 tenants", "p95", "uneven", spread=0.6, tenants=500),
    World("P95, uneven, 100 tenants", "p95", "uneven", spread=0.6, tenants=100),
)

DIFFERENT = (
    World("share, 10 to 12 %", "share", "bernoulli", 0.1, effect=0.02),
    World("share, 30 to 33 %", "share", "bernoulli", 0.3, effect=0.03),
    World("failures, 2 to 3 %", "share", "bernoulli", 0.02, effect=0.01),
    World("failures, 1 to 2 %", "share", "bernoulli", 0.01, effect=0.01),
    World("failures, 1 to 5 %", "share", "bernoulli", 0.01, effect=0.04),
    World("cost (gamma), 5 % more", "mean", "gamma", effect=0.0488),
    World("cost (gamma), 20 % more", "mean", "gamma", effect=0.1823),
    World("time, lognormal, 10 % less", "mean", "lognormal", effect=-0.1054),
    World("time, lognormal, 10 % more", "mean", "lognormal", effect=0.0953),
    World("P95, lognormal, 20 % less", "p95", "lognormal", effect=-0.2231),
    World("P95, lognormal, 500 tenants, 40 % less", "p95", "lognormal", effect=-0.5108, tenants=500),
    World("cost (gamma), 500 tenants, 20 % more", "mean", "gamma", effect=0.1823, tenants=500),
)


def judged(world: World, runs: int, looks: int, seed: int) -> dict[str, Outcome]:
    """Answer when runs of a world are decided, here and by the peer."""
    return watch(
        world,
        {
            "here": partial(judges.evidence, world.kind, level=LEVEL),
            "peer": partial(judges.peer, level=LEVEL),
        },
        LEVEL,
        runs,
        looks,
        seed,
    )


def false_positives(runs: int, looks: int) -> None:
    """Arms that are the same: how often a difference is found at any look. Goal: 5 % at the most."""
    print(f"\nFalse positives over {looks} looks, {runs} runs (goal: at most {LEVEL:.0%})")
    print(f"{'metric':40} {'operations':>10} {'here':>8} {'peer':>8}")
    for place, world in enumerate(SAME):
        found = judged(world, runs, looks, 100 + place)
        missed = "" if found["here"].share <= LEVEL else "  MISSED"
        peer = "-" if world.kind == "p95" else f"{found['peer'].share:.2%}"
        print(
            f"{world.name:40} {world.operations:>10,} {found['here'].share:>8.2%} {peer:>8}{missed}",
            flush=True,
        )


def power(runs: int, looks: int) -> None:
    """Arms that differ: how often, and after how many operations, that is found. Goal: 15 % of the peer's."""
    print(f"\nPower and operations of both arms until the decision, {runs} runs, {looks} looks")
    print(f"{'metric':40} {'power':>7} {'peer':>7} {'median':>8} {'peer':>8} {'ratio':>6}")
    for place, world in enumerate(DIFFERENT):
        found = judged(world, runs, looks, 200 + place)
        here, peer = found["here"], found["peer"]
        if world.kind == "p95" or world.tenants:
            print(f"{world.name:40} {here.share:>7.1%} {'-':>7} {here.median:>8,.0f}", flush=True)
            continue
        times = here.median / peer.median
        missed = "" if times <= 1 + WITHIN and here.share >= (1 - WITHIN) * peer.share else "  MISSED"
        if world.shape == "bernoulli" and world.centre < PEER_VALID:
            missed = "  (the peer is wrong more often than it may be: see above)"
        print(
            f"{world.name:40} {here.share:>7.1%} {peer.share:>7.1%} {here.median:>8,.0f} {peer.median:>8,.0f}"
            f" {times:>6.2f}{missed}",
            flush=True,
        )


def sample_ratio(runs: int, looks: int) -> None:
    """Shares as configured, and not: how often there is an alarm, and when."""
    print(f"\nSample ratio: alarms below {ratio.ALARM:.1%} over {looks} looks to 20,000 units")
    for name, shares, true in (
        ("50/50 as configured", TWO, TWO),
        ("90/10 as configured", (0.9, 0.1), (0.9, 0.1)),
        ("four arms as configured", (0.25,) * 4, (0.25,) * 4),
        ("52/48 instead of 50/50", TWO, (0.52, 0.48)),
        ("55/45 instead of 50/50", TWO, (0.55, 0.45)),
    ):
        number = runs * (10 if shares == true else 1)
        steps = np.random.default_rng(300).multinomial(20_000 // looks, true, (number, looks))
        counts = np.cumsum(steps, axis=1).astype(np.float64)
        expected = np.array(shares)
        alarms = ratio.log_evidence(counts, expected) >= -np.log(ratio.ALARM)
        plain = ((counts - counts.sum(-1, keepdims=True) * expected) ** 2 / expected).sum(-1) / counts.sum(-1)
        first = np.where(alarms.any(axis=1), alarms.argmax(axis=1) + 1, looks * 10) * (20_000 // looks)
        peeked = (plain > CHI_SQUARE).any(axis=1).mean()
        chi = f", chi-square looked at as often {peeked:.2%}" if len(shares) == len(TWO) else ""
        when = f", median at {np.median(first):,.0f} units" if shares != true else ""
        print(f"{name:32} {number:>7,} runs: {alarms.any(axis=1).mean():.2%}{when}{chi}", flush=True)


def guardrail(runs: int, looks: int) -> None:
    """Failures that rise: when the guardrail stands, with tolerances of none and of half a point."""
    print(f"\nGuardrail on failures, {runs} runs, {looks} looks to 20,000 operations an arm")
    print(f"{'failures':16} {'tolerance':>10} {'stands':>8} {'median an arm':>14} {'as the strict test':>20}")
    for base, effect in (
        (0.02, 0.0),
        (0.02, 0.0025),
        (0.02, 0.005),
        (0.02, 0.01),
        (0.02, 0.02),
        (0.02, 0.08),
    ):
        world = World("", "share", "bernoulli", base, effect=effect, operations=40_000)
        tolerances = (0.0, 0.005)
        asked = {str(each): partial(_stands, tolerance=each) for each in tolerances}
        found = watch(world, {**asked, "strict": partial(_strict, tolerance=0.005)}, LEVEL, runs, looks, 400)
        for each in tolerances:
            outcome = found[str(each)]
            strict = f"{found['strict'].share:.1%} {found['strict'].median / 2:,.0f}" if each else ""
            change = f"{base:.2%} to {base + effect:.2%}"
            print(
                f"{change:16} {each:>10} {outcome.share:>8.1%} {outcome.median / 2:>14,.0f} {strict:>20}",
                flush=True,
            )


def _stands(control: ArmSums, treated: ArmSums, tolerance: float) -> Floats:
    worse = treated.total / np.maximum(treated.count, 1) - control.total / np.maximum(control.count, 1)
    return np.where(worse > tolerance, judges.evidence_of_harm(control, treated), 0.0)


def _strict(control: ArmSums, treated: ArmSums, tolerance: float) -> Floats:
    """Evidence of being worse by more than is tolerated."""
    first, second = control.moments(), treated.moments()
    error = np.sqrt(np.maximum(first.variance + second.variance, 1e-12))
    score = (second.mean - first.mean - tolerance) / error
    plain = msprt.log_evidence_above(score, first.count + second.count, LEVEL)
    return np.where(control.total >= EVENTS_MIN, plain, 0.0)


def pre_period(runs: int, looks: int) -> None:
    """Tenants that come again: what the time before the experiment is worth."""
    runs, looks = max(runs // 10, 20), max(looks // 4, 10)
    print(f"\nCUPED, cost of 500 tenants, 20,000 operations before and after, {runs} runs, {looks} looks")
    for effect in (0.0, 0.0953):
        world = World("", "mean", "gamma", effect=effect, tenants=500)
        plain, less, removed = _cuped(world, runs, looks)
        print(
            f"{np.expm1(effect):.0%} more: found {plain.share:.1%} without, {less.share:.1%} with; median"
            f" {plain.median:,.0f} without, {less.median:,.0f} with; variance removed {removed:.0%}",
            flush=True,
        )


def _cuped(world: World, runs: int, looks: int) -> tuple[Outcome, Outcome, float]:
    drawn = Runs(world, runs, np.random.default_rng(500))
    arms, past = ((ArmSums(runs, True, False), ArmSums(runs, True, False)) for _ in range(2))
    for _ in range(looks):
        _add(past, drawn, world, before=True)
    each, first = world.operations // looks, np.full((2, runs), np.inf)
    gains: list[float] = []
    for look in range(1, looks + 1):
        _add(arms, drawn, world, before=False)
        for run in range(runs):
            now, then = ([_sums(arm, run) for arm in both] for both in (arms, past))
            adjusted, gain = cuped.adjusted(now, then)
            gains.append(gain)
            for row, pair in enumerate(([arm.moments(repeating=True) for arm in now], adjusted)):
                if log_evidence(pair[0], pair[1], LEVEL) >= -np.log(LEVEL):
                    first[row, run] = min(first[row, run], look * each)
    return Outcome(first[0]), Outcome(first[1]), float(np.mean(gains))


def _add(arms: tuple[ArmSums, ArmSums], drawn: Runs, world: World, *, before: bool) -> None:
    draw = drawn.draw(world.operations // 50)
    if before:
        value = np.where(draw.treated, draw.value * np.exp(-world.effect), draw.value)
        draw = type(draw)(draw.treated, draw.cluster, value)
    arms[0].add(draw, ~draw.treated)
    arms[1].add(draw, draw.treated)


def _sums(arm: ArmSums, run: int) -> cuped.Sums:
    return cuped.Sums(arm.count[run], arm.total[run], arm.squares[run], arm.counts[run], arm.totals[run])


def coverage(runs: int, looks: int) -> None:
    """Arms that differ: how often an interval ever excludes the true difference."""
    print(f"\nIntervals that exclude the true difference at any look (goal: at most {LEVEL:.0%})")
    for name, world, judge, few in (
        ("cost (gamma), 20 % more", World("", "mean", "gamma", effect=np.log(1.2)), _relative(0.2), False),
        (
            "time, lognormal, 20 % less",
            World("", "mean", "lognormal", effect=np.log(0.8)),
            _relative(-0.2),
            False,
        ),
        ("share, 30 to 33 %", World("", "share", "bernoulli", 0.3, effect=0.03), _points(0.03), False),
        ("failures, 2 to 3 %", World("", "share", "bernoulli", 0.02, effect=0.01), _rare(0.01), True),
        ("failures, 1 to 5 %", World("", "share", "bernoulli", 0.01, effect=0.04), _rare(0.04), True),
    ):
        number, times = (max(runs // 5, 20), max(looks // 4, 10)) if few else (runs, looks)
        found = watch(world, {"here": judge}, LEVEL, number, times, 600)["here"]
        print(f"{name:32} {number:>6,} runs, {times} looks: {found.share:.2%}", flush=True)


def _outside(true: float, lower: Floats, upper: Floats, control: ArmSums) -> Floats:
    outside = (lower > true) | (upper < true)
    return np.where(outside & (control.count >= contrasts.OPERATIONS_MIN), np.inf, 0.0)


def _relative(true: float) -> Judge:
    def judge(control: ArmSums, treated: ArmSums) -> Floats:
        _, lower, upper = relative(control.moments(), treated.moments(), LEVEL)
        return _outside(true, lower, upper, control)

    return judge


def _points(true: float) -> Judge:
    def judge(control: ArmSums, treated: ArmSums) -> Floats:
        _, lower, upper = points(control.moments(), treated.moments(), LEVEL)
        return _outside(true, lower, upper, control)

    return judge


def _rare(true: float) -> Judge:
    def judge(control: ArmSums, treated: ArmSums) -> Floats:
        pairs = zip(control.total, control.count, treated.total, treated.count, strict=True)
        ends = [rare.interval((a, b), (c, d), 1.0, LEVEL) for a, b, c, d in pairs]
        lower, upper = np.array(ends).T
        return _outside(true, lower, upper, control)

    return judge


def speed(_runs: int, _looks: int) -> None:
    """How long an analysis takes."""
    took = measuring.seconds()
    met = "" if took < measuring.GOAL else "  MISSED"
    print(f"\nAn analysis of 4 arms and 6 metrics: {took * 1000:.1f} ms of CPU{met}")
