"""Notes about each series out of what the combination decided. Pure.

`controlplane.forecast.combination` calls it last. It decides nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast import notes
from controlplane.forecast.guard import Guard
from controlplane.forecast.notes import Note
from controlplane.forecast.series import FloatArray

_WORDS = {
    "missing": (notes.NO_FORECAST, "it has no whole forecast of this series"),
    "wild": (notes.EXPLODED, "its median is far beyond anything seen"),
    "barred": (notes.NOT_ALLOWED, "the history is too short for it, or it is switched off"),
}


_WORTH_SAYING = 0.005
"""Least share handed over that is told."""


def explained(
    members: tuple[str, ...],
    buckets: tuple[int, ...],
    dropped: Mapping[str, NDArray[np.bool_]],
    poor: NDArray[np.bool_],
    ratios: FloatArray,
    guards: Sequence[Guard],
    known: NDArray[np.bool_],
) -> tuple[tuple[Note, ...], ...]:
    """Answer the notes of each of n series.

    Args:
        members: Names of the m models.
        buckets: Last step of each of the b horizon buckets.
        dropped: Who has no weight at all, by the kind of reason, each of shape (n, m).
        poor: Shape (n, b, m): who was dropped for its losses.
        ratios: Likewise: its losses by the seasonal naive's.
        guards: Per bucket, what was handed over to a simple model.
        known: Shape (n,): whether anything of the past is known.
    """
    return tuple(
        (
            *_unheard(members, {kind: rows[row] for kind, rows in dropped.items()}),
            *_poor(members, buckets, poor[row], ratios[row]),
            *_guarded(members, buckets, guards, row),
            *_unknown(bool(known[row])),
        )
        for row in range(len(known))
    )


def _unheard(members: tuple[str, ...], dropped: Mapping[str, NDArray[np.bool_]]) -> list[Note]:
    return [
        Note(members[index], code, f"{members[index]} has no weight: {why}.")
        for kind, (code, why) in _WORDS.items()
        for index in np.flatnonzero(dropped[kind])
    ]


def _poor(
    members: tuple[str, ...], buckets: tuple[int, ...], poor: NDArray[np.bool_], ratios: FloatArray
) -> list[Note]:
    said = []
    for index in np.flatnonzero(poor.any(axis=0)):
        steps = ", ".join(_steps(buckets, int(bucket)) for bucket in np.flatnonzero(poor[:, index]))
        worst = float(ratios[poor[:, index], index].max())
        words = (
            f"{members[index]} has no weight at steps {steps}: it lost {worst:.1f} times the seasonal naive."
        )
        said.append(Note(members[index], notes.WORSE_THAN_SEASONAL_NAIVE, words))
    return said


def _guarded(
    members: tuple[str, ...], buckets: tuple[int, ...], guards: Sequence[Guard], row: int
) -> list[Note]:
    said = []
    for bucket, found in enumerate(guards):
        if found.share[row] >= _WORTH_SAYING:
            simple = members[int(found.member[row])]
            words = (
                f"At steps {_steps(buckets, bucket)} the pool lost {found.ratio[row]:.2f} times as much as "
                f"{simple}, which got {100 * found.share[row]:.0f} % of the weight."
            )
            said.append(Note(simple, notes.SIMPLE_MODEL_WAS_BETTER, words))
    return said


def _unknown(known: bool) -> list[Note]:  # noqa: FBT001 - the one thing it depends on
    words = "No forecast of this series has been checked yet: the members count as on other series."
    return [] if known else [Note("", notes.NO_PAST, words)]


def _steps(buckets: tuple[int, ...], bucket: int) -> str:
    first = buckets[bucket - 1] + 1 if bucket else 1
    return f"{first}-{buckets[bucket]}"
