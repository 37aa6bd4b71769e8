"""Problems of workloads that share engines, answered together. Pure.

`plan` calls it with problems that were checked. First everybody is planned beside the others as they are.
Those that would move are then let go, the one that saves most first, as long as the pools have room for all;
the rest is planned again beside what has moved meanwhile, and waits for the next plan where there is no room.
In the end pools are sized for what is really on them. It must never give two workloads the same room.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from controlplane.planning.answering import answered
from controlplane.planning.loads import Load, Loads, changed, load_of, total, with_others
from controlplane.planning.moments import others_on
from controlplane.planning.problem import EngineVersion, Option, Plan, PoolFacts, PoolTarget, Problem
from controlplane.planning.rows import bounds_of
from controlplane.planning.rules import UTILISATION_MAX

WAVES = 3
"""So often those that found no room are planned again."""


class _Board:
    """Who puts what on pools as things stand."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        self._loads = [load_of(problem, problem.current) for problem in problems]
        self._whole = total(self._loads)

    def beside_others(self, which: Sequence[int]) -> list[Problem]:
        """Answer problems with what the others put on their pools."""
        return [with_others(self.problems[at], self._whole, self._loads[at]) for at in which]

    def take(self, at: int, chain: str) -> None:
        """Put a workload's work on the pools of a chain."""
        self._put(at, load_of(self.problems[at], chain))

    def take_if_room(self, at: int, chain: str) -> bool:
        """Do so where the pools can carry it beside all that is on them."""
        problem, before = self.problems[at], self._loads[at]
        wanted = load_of(problem, chain)
        self._put(at, wanted)
        facts = {pool.engine: pool for pool in problem.pools}
        fits = all(_fits(problem, facts.get(engine), self._whole[engine]) for engine in wanted)
        if not fits:
            self._put(at, before)
        return fits

    def _put(self, at: int, loads: Loads) -> None:
        before = self._loads[at]
        for engine in {*loads, *before}:
            whole = self._whole.get(engine)
            self._whole[engine] = changed(whole, before.get(engine), loads.get(engine))
        self._loads[at] = loads


def answered_together(problems: Sequence[Problem]) -> list[Plan]:
    """Answer problems, each in view of what the others put on its pools."""
    board = _Board(problems)
    plans: dict[int, Plan] = {}
    open_ = list(range(len(problems)))
    for wave in range(WAVES):
        found = dict(zip(open_, answered(board.beside_others(open_)), strict=True))
        plans.update(found)
        open_ = _moved(board, found, last=wave == WAVES - 1)
        if not open_:
            break
    waiting = answered(board.beside_others(open_), waiting=True)
    plans.update(zip(open_, waiting, strict=True))
    return _agreed(_resized(board, [plans[at] for at in range(len(problems))]))


def _moved(board: _Board, found: Mapping[int, Plan], *, last: bool) -> list[int]:
    """Let those move for whom there is room, the one that saves most first; answer the others."""
    left = []
    for at in sorted(found, key=lambda at: (-_saved(board.problems[at], found[at]), at)):
        chosen, current = found[at].chosen, board.problems[at].current
        if chosen is None or chosen.chain == current or board.take_if_room(at, chosen.chain):
            continue
        if not chosen.feasible or (last and not current):
            board.take(at, chosen.chain)
        else:
            left.append(at)
    return sorted(left)


def _saved(problem: Problem, plan: Plan) -> float:
    current = plan.options().get(problem.current)
    if plan.chosen is None or current is None:
        return 0.0
    return current.cost.total - plan.chosen.cost.total


def _fits(problem: Problem, pool: PoolFacts | None, load: Load) -> bool:
    if pool is None:
        return False
    most = bounds_of(pool, problem.policy.exceed_max_by)[2]
    outside = others_on(pool, len(load.work))
    return bool((load.work + outside <= most * pool.capacity * UTILISATION_MAX).all())


def _resized(board: _Board, plans: Sequence[Plan]) -> list[Plan]:
    """Size what was chosen for what is on the pools in the end; rivals stay as they were compared."""
    which = [at for at, plan in enumerate(plans) if plan.chosen is not None]
    alone = [
        _with_chain_only(problem, plans[at].chosen)
        for at, problem in zip(which, board.beside_others(which), strict=True)
    ]
    sized = list(plans)
    for at, plan in zip(which, answered(alone), strict=True):
        told, found = plans[at].chosen, plan.chosen
        assert told is not None
        assert found is not None
        cost = replace(found.cost, switching=told.cost.switching)
        chosen = replace(found, explore_share=told.explore_share, cost=cost)
        sized[at] = replace(plans[at], chosen=chosen, binding=plan.binding)
    return sized


def _with_chain_only(problem: Problem, chosen: Option | None) -> Problem:
    assert chosen is not None
    only = tuple(one for one in problem.candidates if one.chain == chosen.chain)
    return replace(problem, candidates=only)


def _agreed(plans: Sequence[Plan]) -> list[Plan]:
    """Give a pool that workloads share one target: the most that one of them needs."""
    most: dict[EngineVersion, list[PoolTarget]] = {}
    for plan in plans:
        for pool in plan.chosen.pools if plan.chosen else ():
            most.setdefault(pool.engine, []).append(pool)
    shared = {engine: _shared(every) for engine, every in most.items()}
    return [
        replace(plan, chosen=_with_shared(plan.chosen, shared)) if plan.chosen else plan for plan in plans
    ]


def _shared(every: Sequence[PoolTarget]) -> tuple[int, tuple[int, ...]]:
    steps = zip_longest(*(one.targets for one in every), fillvalue=0)
    return max(one.target for one in every), tuple(max(step) for step in steps)


def _with_shared(chosen: Option, shared: Mapping[EngineVersion, tuple[int, tuple[int, ...]]]) -> Option:
    return replace(chosen, pools=tuple(_as_all(pool, *shared[pool.engine]) for pool in chosen.pools))


def _as_all(pool: PoolTarget, target: int, targets: tuple[int, ...]) -> PoolTarget:
    share = pool.share / pool.target * target if pool.target else 0.0
    return replace(pool, target=target, targets=targets[: len(pool.targets)], share=share)
