"""The ridge of each series as the network takes it: held-out for learning, kept for a day for forecasting.

`training` and `model` call it. While training, what the ridge says of a stretch is always said by one that
did not see it. When forecasting, a ridge is learned from whole days of the series alone, so that it is a pure
function of the window and yet the same for a day: it is kept by the digest of what it was learned from.
"""

import hashlib
import zlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.features.candidates import candidates, targets
from controlplane.forecast.features.track import IntArray, Track
from controlplane.forecast.models.ridge import Learned, Lesson, Said, learn, recent, say
from controlplane.forecast.models.ridge_spread import clues_of, scale_at
from controlplane.forecast.series import FloatArray, Series

SEGMENTS = 3
"""So many stretches of a long series are learned from, the newest, each as long as a ridge looks back."""

KEPT = 1024
"""How many ridges are kept for forecasting."""

ROOM = 4
"""So many horizons must lie behind the first day."""

WHOLE_DAYS = 3
"""With fewer whole days a ridge is learned from all there is."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What ridges say of stretches that they did not see.

    Attributes:
        origins: Shape (n,), within the series.
        said: Of each origin.
    """

    origins: IntArray
    said: Said


def held_out(series: Series, horizon: int) -> list[HeldOut]:
    """Answer the newest segments of a series, each by ridges of its own; none where it is too short."""
    length = len(recent(series))
    found = []
    for place in range(SEGMENTS):
        stop = len(series) - place * length
        if stop <= horizon or (place and stop < length):
            break
        segment = series.until(stop).newest(length)
        one = _segment(segment, stop - len(segment), horizon)
        found += [one] if one else []
    return found


def _segment(segment: Series, first: int, horizon: int) -> HeldOut | None:
    track = Track.of(segment)
    lesson = _learn(track, horizon)
    if lesson is None:
        return None
    learned, at = lesson.learned, lesson.learned.at
    steps = np.arange(1, horizon + 1, dtype=np.int64)
    found = candidates(track, lesson.origins, horizon)
    clues = clues_of(track, lesson.origins, found.spread.T, steps)
    scale = scale_at(learned.spread, steps, clues).T
    off = np.stack([_between(steps, at, row) for row in lesson.held_out.T])
    centre = targets(track, lesson.origins, horizon) - off
    return HeldOut(first + lesson.origins, Said(centre, scale))


def _learn(track: Track, horizon: int) -> Lesson | None:
    """Learn a ridge, where held-out thirds of the time and the horizon around them leave enough."""
    if len(track.values) - track.series.day < ROOM * horizon:
        return None
    return learn(track, horizon)


def _between(steps: IntArray, at: IntArray, residuals: FloatArray) -> FloatArray:
    """Answer residuals of all steps, those between two that are known on a line; NaN where unknown."""
    if len(at) == len(steps):
        return residuals
    return np.interp(steps, at, residuals)


class Ridges:
    """Ridges for forecasting, kept while what they were learned from stays the same.

    Args:
        kept: How many at most; those used longest ago go first.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._most = kept
        self._kept: OrderedDict[str, Learned | None] = OrderedDict()

    def said(self, series: Series, track: Track, horizon: int) -> Said | None:
        """Answer what the ridge says from the end of a series; None where it is too short for one."""
        learned = self._learned(whole_days(recent(series)), horizon)
        if learned is None:
            return None
        return say(learned, track, np.array([len(series) - 1], dtype=np.int64), horizon)

    def _learned(self, series: Series, horizon: int) -> Learned | None:
        head = f"{series.start} {series.step_seconds} {horizon} ".encode()
        key = hashlib.sha256(head + series.values.tobytes()).hexdigest()
        if key not in self._kept:
            lesson = _learn(Track.of(series), horizon)
            self._kept[key] = None if lesson is None else lesson.learned
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def whole_days(series: Series) -> Series:
    """Cut a series where its own day begins, at both ends.

    Each series has another time of the day for that, so that not all ridges are learned at once.
    """
    begins = zlib.crc32(series.id.encode()) % series.day
    past = series.start // series.step_seconds
    first = (begins - past) % series.day
    days = (len(series) - first) // series.day
    if days < WHOLE_DAYS:
        return series
    return series.until(first + days * series.day).newest(days * series.day)
