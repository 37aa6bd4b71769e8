"""Problems answered: options judged, one chosen, everything explained. Pure.

`plan` and `together` call it with problems that were checked. It must never look at how demand was forecast.
"""

from collections.abc import Sequence
from dataclasses import replace

from controlplane.planning import explain
from controlplane.planning.binding import binding
from controlplane.planning.changing import with_switching
from controlplane.planning.choosing import Choice, choose
from controlplane.planning.options import Judged, judged
from controlplane.planning.problem import Option, Plan, Problem, Reason
from controlplane.planning.views import View, few


def answered(problems: Sequence[Problem], *, waiting: bool = False) -> list[Plan]:
    """Answer problems, each by itself.

    Args:
        problems: They were checked.
        waiting: They have to stay where they are this time, as shared pools have no room for them.
    """
    cautious = judged(problems, View.CAUTIOUS)
    unsure = [problem for problem in problems if _unsure(problem)]
    again = iter(judged(unsure, View.HOPEFUL))
    return [
        _plan(problem, options, next(again) if _unsure(problem) else options, waiting=waiting)
        for problem, options in zip(problems, cautious, strict=True)
    ]


def _unsure(problem: Problem) -> bool:
    return any(few(call) for candidate in problem.candidates for call in candidate.calls)


def _plan(problem: Problem, options: Sequence[Judged], hopeful: Sequence[Judged], *, waiting: bool) -> Plan:
    if not options:
        nothing = Reason("NO_CANDIDATE", "the workload has no chain that could be taken")
        return Plan(None, (), switches=False, reasons=(nothing,))
    charged = with_switching(problem, options)
    hoped = {one.option.chain: one for one in with_switching(problem, hopeful)}
    choice = choose(problem, charged, list(hoped.values()), waiting=waiting)
    chosen = choice.chosen.option
    return Plan(
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
    return replace(
        one.option,
        binding=binding(one),
        reasons=reasons,
        explore_share=choice.explored.get(one.option.chain, 0.0),
    )
