"""The constants of planning, in one place. Pure.

Every part of the room reads them. They are choices, not measurements: `docs/planning.md` says why each is
what it is. It must hold no rule itself.
"""

UTILISATION_MAX = 0.9
"""The share of its useful places that a pool is planned to be busy at most. Near 1 queues grow without end,
and every formula for them is least certain."""

SATURATED = 0.98
"""Beyond this utilisation what arrives is no longer carried: it counts as missed."""

SLOW_SHARE = 0.05
"""The service level promises a time for the rest: `p95` is a share of 95 %."""

QUANTILE_PROMISED = 0.95
"""Planned for where a time is promised and a miss has no price: 1 - eps of a promise that holds for 95 %."""

KNEE = 0.1
"""One more step at once is useful on an instance while it adds this share of what one alone does."""

SURE = 2.0
"""So many standard errors of a slowdown are taken off it before it goes on beyond what was measured."""

SURELY_SLOWER = 3.0
"""By so many standard errors a busier instance must be slower for it to count: of many neighbours, two may
differ by two errors by chance."""

ENOUGH_SAMPLES = 30.0
"""From so many measurements on a call's figures are taken as they are."""

UNKNOWN_SECONDS = 60.0
"""How long a call is thought to take that nobody measured, and for which nothing alike was measured."""

SHORTEST_SECONDS = 0.001
"""How long a call is thought to take that was measured and is too short for it: profiles tell no less."""

UNKNOWN_FACTOR = 2.0
"""By how much the slowest call alike is exceeded where one thinks the worst of a call never measured."""

HOLD_SECONDS = 1800.0
"""A pool shrinks only where the forecast needs less for so long, unless a policy says otherwise; the reactive
rate looks back as far."""

IDLE_CHANCE = 1e-4
"""More instances do not help a pool in which a call waits as seldom as that."""

EXPLORED_MAX = 3
"""Chains that are given a share of requests at once so that they are measured."""

PARTS_MAX = 12
"""The horizon is planned in so many parts at most: pools do not change more often than that."""

STRATA = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Edges of the parts of the distribution of demand over which costs are expected."""

CELLS = 32
"""Cells of the grid on which a provision's time is added up, from 0 to the promised time."""
