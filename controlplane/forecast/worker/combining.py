"""The combination as a question to the worker, and its answer. Both ends of the pipe call it.

The past of a hundred series is hundreds of megabytes once it is spread out, which an API process must not
hold: the worker reads the tracks from disk, combines, and answers what is small. A track that it cannot read
counts as none; whoever owns the file sets it aside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from controlplane.forecast.assembly import present
from controlplane.forecast.combination import Combined, combine
from controlplane.forecast.notes import Note
from controlplane.forecast.series import FloatArray, Window
from controlplane.forecast.track import Track, empty, from_bytes
from controlplane.forecast.worker.wire import windows_out
from enchain.chains.errors import MalformedError

Said = dict[str, Any]
Arrays = dict[str, FloatArray]


def question(
    windows: Sequence[Window],
    members: Mapping[str, FloatArray],
    allowed: Sequence[frozenset[str]],
    tracks: Sequence[Path],
    horizon: int,
) -> tuple[Said, Arrays]:
    """Answer the question's JSON and arrays.

    Args:
        windows: The n series.
        members: By model, shape (n, horizon, levels).
        allowed: Per series, which models may have weight.
        tracks: Per series, where its track lies; it need not exist.
        horizon: Steps ahead.
    """
    said, arrays = windows_out(windows)
    body = {
        "windows": said,
        "members": list(members),
        "allowed": [sorted(some) for some in allowed],
        "tracks": [str(path) for path in tracks],
        "horizon": horizon,
    }
    return body, arrays | {f"m{number}": array for number, array in enumerate(members.values())}


def answered(body: Mapping[str, Any], windows: Sequence[Window], arrays: Arrays) -> tuple[Said, Arrays]:
    """Combine, as asked. The worker's end; it reads files."""
    members = {name: arrays[f"m{number}"] for number, name in enumerate(body["members"])}
    horizon = int(body["horizon"])
    tracks = [_track(Path(path), each, horizon) for path, each in zip(body["tracks"], windows, strict=True)]
    allowed = [frozenset(some) for some in body["allowed"]]
    made = combine(tracks, present(windows, members, horizon, allowed))
    said = {
        "members": list(made.members),
        "buckets": list(made.buckets),
        "notes": [[asdict(note) for note in notes] for notes in made.notes],
    }
    return said, {"quantiles": made.quantiles, "weights": made.weights, "spreads": made.spreads}


def combined_of(body: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> Combined:
    """Read what `answered` answered."""
    return Combined(
        quantiles=arrays["quantiles"],
        members=tuple(body["members"]),
        buckets=tuple(int(last) for last in body["buckets"]),
        weights=arrays["weights"],
        spreads=arrays["spreads"],
        notes=tuple(tuple(Note(**note) for note in notes) for notes in body["notes"]),
    )


def joined(parts: Sequence[Combined]) -> Combined:
    """Put the combinations of several groups of series, of the same members, one below the other."""
    return Combined(
        quantiles=np.concatenate([each.quantiles for each in parts]),
        members=parts[0].members,
        buckets=parts[0].buckets,
        weights=np.concatenate([each.weights for each in parts]),
        spreads=np.concatenate([each.spreads for each in parts]),
        notes=tuple(notes for each in parts for notes in each.notes),
    )


def _track(path: Path, window: Window, horizon: int) -> Track:
    try:
        track = from_bytes(path.read_bytes())
    except (OSError, MalformedError):
        track = empty((), window.series.step_seconds, horizon)
    return track.with_actuals(window.series)
