"""Problems of workloads that share engines, answered together. Pure.

`plan` calls it with problems that were checked. First everybody is planned beside the others as they are.
Those that would move are then let go, the one that saves most first, as long as the pools have room for all;
the rest is planned again beside what has moved meanwhile, and waits for the next plan where there is no room.
In the end pools are sized for what is really on them. It must never give two workloads the same room.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from controlplane.planning.answering import answered, raised
from controlplane.planning.loads import Load, Loads, changed, load_of, total, with_others
from controlplane.planning.moments import others_on
from controlplane.planning.problem import EngineVersion, Plan, PoolFacts, Problem
from controlplane.planning.rows import bounds_of
from controlplane.planning.rules import UTILISATION_MAX
from controlplane.planning.unhindered import Memory

WAVES = 3
"""So often those that found no room are planned again."""


class _Board:
    """Who puts what on pools as things stand."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        self.moved = False
        self._chains = [problem.current for problem in problems]
        self._loads = [load_of(problem, problem.current) for problem in problems]
        self._whole = total(self._loads)

    def beside_others(self, which: Sequence[int]) -> list[Problem]:
        """Answer problems with what the others put on their pools."""
        return [with_others(self.problems[at], self._whole, self._loads[at]) for at in which]

    def settled(self) -> list[Problem]:
        """Answer all problems with what the others put on their pools, and the chains that they came to."""
        beside = self.beside_others(range(len(self.problems)))
        return [replace(problem, settled=chain) for problem, chain in zip(beside, self._chains, strict=True)]

    def take(self, at: int, chain: str) -> None:
        """Put a workload's work on the pools of a chain."""
        self._put(at, load_of(self.problems[at], chain))
        self._chains[at], self.moved = chain, True

    def take_if_room(self, at: int, chain: str) -> bool:
        """Do so where the pools can carry it beside all that is on them."""
        problem, before = self.problems[at], self._loads[at]
        wanted = load_of(problem, chain)
        self._put(at, wanted)
        facts = {pool.engine: pool for pool in problem.pools}
        fits = all(_fits(problem, facts.get(engine), self._whole[engine]) for engine in wanted)
        if fits:
            self._chains[at], self.moved = chain, True
        else:
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
    memory: Memory = {}
    for wave in range(WAVES):
        found = dict(zip(open_, answered(board.beside_others(open_), memory), strict=True))
        plans.update(found)
        open_ = _moved(board, found, last=wave == WAVES - 1)
        if not open_:
            break
    every = range(len(problems))
    if board.moved or open_:
        plans = dict(zip(every, answered(board.settled(), memory), strict=True))
    return _agreed([plans[at] for at in every])


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


def _agreed(plans: Sequence[Plan]) -> list[Plan]:
    """Let every workload know what the most demanding of the others needs of the pools that they share."""
    targets: dict[EngineVersion, list[tuple[int, int]]] = {}
    for at, plan in enumerate(plans):
        for pool in plan.chosen.pools if plan.chosen else ():
            targets.setdefault(pool.engine, []).append((pool.target, at))
    most = {engine: sorted(every, reverse=True)[:2] for engine, every in targets.items()}
    return [_told(plan, at, most) for at, plan in enumerate(plans)]


def _told(plan: Plan, at: int, most: Mapping[EngineVersion, Sequence[tuple[int, int]]]) -> Plan:
    pools = []
    for pool in plan.problem.pools:
        others = max((target for target, who in most.get(pool.engine, ()) if who != at), default=0)
        known = others <= pool.others_target
        pools.append(pool if known else replace(pool, others_target=others))
    problem = replace(plan.problem, pools=tuple(pools))
    return replace(
        plan,
        problem=problem,
        chosen=raised(plan.chosen, problem) if plan.chosen else None,
        rivals=tuple(raised(rival, problem) for rival in plan.rivals),
    )
