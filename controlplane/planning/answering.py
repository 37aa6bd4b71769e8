"""Problems answered: options judged, one chosen, everything explained. Pure.

`plan` and `together` call it with problems that were checked. It must never look at how demand was forecast.
"""

from collections.abc import Sequence
from dataclasses import replace

from controlplane.planning import explain
from controlplane.planning.binding import binding
from controlplane.planning.choosing import Choice, choose
from controlplane.planning.options import Judged, judged
from controlplane.planning.problem import Option, Plan, PoolTarget, Problem, Reason
from controlplane.planning.unhindered import Memory
from controlplane.planning.views import View, few


def answered(problems: Sequence[Problem], memory: Memory | None = None) -> list[Plan]:
    """Answer problems that were checked, each by itself.

    Args:
        problems: What is planned for.
        memory: What was worked out of the same chains before; what is new is added.
    """
    cautious = judged(problems, View.CAUTIOUS, memory)
    unsure = [at for at, problem in enumerate(problems) if _unsure(problem)]
    hopeful = dict(zip(unsure, judged([problems[at] for at in unsure], View.HOPEFUL, memory), strict=True))
    return [
        _plan(problem, options, hopeful.get(at, options))
        for at, (problem, options) in enumerate(zip(problems, cautious, strict=True))
    ]


def raised(option: Option, problem: Problem) -> Option:
    """Answer an option whose pools have as many instances as another workload needs of them."""
    most = {pool.engine: pool.others_target for pool in problem.pools if pool.others_target}
    if not any(most.get(pool.engine, 0) > pool.target for pool in option.pools):
        return option
    return replace(option, pools=tuple(_raised(pool, most.get(pool.engine, 0)) for pool in option.pools))


def _raised(pool: PoolTarget, most: int) -> PoolTarget:
    if most <= pool.target:
        return pool
    share = pool.share * most / pool.target if pool.target else 0.0
    return replace(pool, target=most, share=share)


def _unsure(problem: Problem) -> bool:
    return any(few(call) for candidate in problem.candidates for call in candidate.calls)


def _plan(problem: Problem, options: Sequence[Judged], hopeful: Sequence[Judged]) -> Plan:
    if not options:
        nothing = Reason("NO_CANDIDATE", "the workload has no chain that could be taken")
        return Plan(problem, None, (), switches=False, reasons=(nothing,))
    hoped = {one.option.chain: one for one in hopeful}
    choice = choose(problem, options, hopeful)
    chosen = choice.chosen.option
    return Plan(
        problem=problem,
        chosen=_told(choice, choice.chosen, ()),
        rivals=tuple(
            _told(choice, one, explain.of_rival(problem, choice, one, hoped[one.option.chain]))
            for one in choice.ranked
        ),
        switches=chosen.chain != problem.current and not problem.pinned,
        reasons=explain.of_plan(problem, choice),
        binding=binding(choice.chosen),
    )


def _told(choice: Choice, one: Judged, reasons: tuple[Reason, ...]) -> Option:
    told = replace(
        one.option,
        binding=binding(one),
        reasons=reasons,
        explore_share=choice.explored.get(one.option.chain, 0.0),
    )
    return raised(told, one.row.problem)
