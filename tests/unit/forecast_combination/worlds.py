"""Series, and members that forecast them with known faults, for the tests of the combination. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from controlplane.forecast.combination import Present
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track

STEP, HORIZON = 300, 14
MEMBERS = ("Naive", "SeasonalNaive", "Good", "Other")
NORMAL: FloatArray = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
LEVEL, NOISE = 100.0, 5.0


@dataclass(frozen=True)
class World:
    """What members forecast, and what came.

    Attributes:
        tracks: One per series.
        present: From an origin after the last of them.
        biased: Whose forecasts `with_bias` moves.
    """

    tracks: list[Track]
    present: Present
    biased: tuple[str, ...] = ()

    def at(self, origin: int) -> Present:
        """Answer what was forecast from one of the tracks' origins."""
        return replace(
            self.present,
            forecasts=np.stack([track.forecasts[origin] for track in self.tracks]),
            origins=np.array([track.origins[origin] for track in self.tracks]),
        )

    def with_bias(self, bias: float) -> "World":
        """Move all forecasts of the biased members by the same amount."""
        moved = np.array([bias if name in self.biased else 0.0 for name in MEMBERS])[:, None, None]
        tracks = [replace(track, forecasts=track.forecasts + moved) for track in self.tracks]
        return replace(
            self,
            tracks=tracks,
            present=replace(self.present, forecasts=self.present.forecasts + moved),
        )

    def constant(self, value: float) -> "World":
        """Answer a world in which nothing ever happens, and all know it."""
        tracks = [
            replace(
                track,
                forecasts=np.full_like(track.forecasts, value),
                actuals=np.full_like(track.actuals, value),
            )
            for track in self.tracks
        ]
        forecasts = np.full_like(self.present.forecasts, value)
        highest = np.full_like(self.present.highest, value)
        return replace(
            self, tracks=tracks, present=replace(self.present, forecasts=forecasts, highest=highest)
        )


def world(
    *,
    seed: int,
    series: int = 1,
    origins: int = 16,
    errors: Mapping[str, float] | None = None,
    widths: Mapping[str, float] | None = None,
    biased: tuple[str, ...] = (),
    allowed: tuple[str, ...] = MEMBERS,
) -> World:
    """Make a world of noise around a level.

    Args:
        seed: All randomness comes from it.
        series: How many.
        origins: How many past ones, side by side.
        errors: How many times the noise a member's error is, 1 unless told; its width fits it.
        widths: By how much a member's width is wrong.
        biased: Whose forecasts `World.with_bias` moves.
        allowed: Who may have weight.
    """
    random = np.random.default_rng(seed)
    sizes = np.array([(errors or {}).get(name, 1.0) for name in MEMBERS])
    wrong = np.array([(widths or {}).get(name, 1.0) for name in MEMBERS])
    shape = (series, origins + 1, len(MEMBERS), HORIZON)
    actuals = LEVEL + 10 * random.normal(size=(series, origins + 1, HORIZON))
    centres = actuals[:, :, None] + NOISE * sizes[:, None] * random.normal(size=shape)
    spread = (NOISE * sizes * wrong)[:, None, None] * NORMAL
    forecasts = np.maximum(centres[..., None] + spread, 0.0)
    times = np.arange(origins + 1, dtype=np.int64) * STEP * HORIZON
    return World(
        [Track(MEMBERS, STEP, times[:-1], forecasts[row, :-1], actuals[row, :-1]) for row in range(series)],
        Present(
            MEMBERS,
            forecasts[:, -1].copy(),
            np.full(series, times[-1]),
            np.full(series, actuals.max()),
            np.full(series, np.inf),
            np.tile(np.array([name in allowed for name in MEMBERS]), (series, 1)),
        ),
        biased,
    )
