"""Combining in the worker gives what combining here would: the same numbers and the same notes."""

from pathlib import Path

import numpy as np

from controlplane.forecast.assembly import present
from controlplane.forecast.combination import combine
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Series, Window
from controlplane.forecast.track import empty
from controlplane.forecast.trackbook import Entry, Trackbook
from controlplane.forecast.worker.combining import answered, combined_of, joined, question
from controlplane.forecast.worker.frames import HEAD_BYTES, Frame, lengths, pack, unpack
from controlplane.forecast.worker.wire import windows_in

HORIZON = 12
STEP = 300
MEMBERS = ("Naive", "SeasonalNaive")
ALLOWED = [frozenset(MEMBERS), frozenset({"Naive"})]


def _forecasts(rng: np.random.Generator, count: int) -> dict[str, FloatArray]:
    shape = (count, HORIZON, len(LEVELS))
    return {name: np.sort(10 + rng.normal(0, 1, shape), axis=-1) for name in MEMBERS}


def _world(folder: Path) -> tuple[Trackbook, list[Window], dict[str, FloatArray]]:
    rng = np.random.default_rng(1)
    windows = [Window(Series(name, 0, STEP, 10 + rng.normal(0, 1, 600))) for name in ("a/cpu-5m", "b/cpu-5m")]
    book = Trackbook(folder / "tracks")
    for window in windows:
        track = empty((), STEP, HORIZON)
        for back in (48, 36, 24, 12):
            each = {name: array[0] for name, array in _forecasts(rng, 1).items()}
            track = track.with_origin(window.series.last - back * STEP, each)
        book.put(window.series.id, track.with_actuals(window.series))
    return book, windows, _forecasts(rng, 2)


def _through(kind: str, body: dict[str, object], arrays: dict[str, FloatArray]) -> Frame:
    data = pack(Frame(kind, 1, body, arrays))
    said, rest = lengths(data[:HEAD_BYTES])
    return unpack(data[HEAD_BYTES : HEAD_BYTES + said], data[HEAD_BYTES + said : HEAD_BYTES + said + rest])


def test_the_worker_combines_as_the_leader_would(tmp_path: Path) -> None:
    book, windows, members = _world(tmp_path)
    places = [book.place(window.series.id) for window in windows]
    asked = _through("combine", *question(windows, members, ALLOWED, places, HORIZON))

    said, arrays = answered(asked.body, windows_in(asked.body["windows"], asked.arrays), dict(asked.arrays))
    found = combined_of(*_parts(_through("done", said, arrays)))

    tracks = [book.get(window.series.id) or empty((), STEP, HORIZON) for window in windows]
    here = combine(
        [track.with_actuals(window.series) for track, window in zip(tracks, windows, strict=True)],
        present(windows, members, HORIZON, ALLOWED),
    )
    np.testing.assert_array_equal(found.quantiles, here.quantiles)
    np.testing.assert_array_equal(found.weights, here.weights)
    assert (found.members, found.buckets, found.notes) == (here.members, here.buckets, here.notes)


def test_a_track_that_is_missing_or_broken_counts_as_none(tmp_path: Path) -> None:
    _, windows, members = _world(tmp_path)
    broken = tmp_path / "broken.track"
    broken.write_bytes(b"no archive")
    body, arrays = question(windows, members, ALLOWED, [broken, tmp_path / "missing"], HORIZON)

    found = combined_of(*answered(body, windows, arrays))

    here = combine([empty((), STEP, HORIZON)] * 2, present(windows, members, HORIZON, ALLOWED))
    np.testing.assert_array_equal(found.quantiles, here.quantiles)


def test_groups_are_put_together_in_their_order(tmp_path: Path) -> None:
    _, windows, members = _world(tmp_path)
    parts = [
        combine(
            [empty((), STEP, HORIZON)],
            present([window], {name: array[[row]] for name, array in members.items()}, HORIZON, [ALLOWED[0]]),
        )
        for row, window in enumerate(windows)
    ]

    whole = joined(parts)

    assert whole.quantiles.shape == (2, HORIZON, len(LEVELS))
    np.testing.assert_array_equal(whole.quantiles[1], parts[1].quantiles[0])
    assert whole.notes == (*parts[0].notes, *parts[1].notes)


def test_the_book_remembers_little_of_a_track_and_reads_it_after_a_restart(tmp_path: Path) -> None:
    book, windows, _ = _world(tmp_path)
    series = windows[0].series
    expected = Entry(series.last - 12 * STEP, frozenset(MEMBERS))

    assert book.entry(series.id) == expected
    assert Trackbook(tmp_path / "tracks").entry(series.id) == expected
    assert book.entry("nobody/cpu-5m") is None


def _parts(frame: Frame) -> tuple[dict[str, object], dict[str, FloatArray]]:
    return dict(frame.body), dict(frame.arrays)
