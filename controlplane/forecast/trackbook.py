"""Where the leader keeps how the models did on each series: one file each, beside the history.

The forecasting loop owns one. A file that cannot be read is set aside and the track begins anew: a track is
worth days of observation, never correctness. It blocks, so the loop calls it from a thread.
"""

from dataclasses import dataclass
from pathlib import Path

from controlplane.forecast.series import Series
from controlplane.forecast.track import Track, empty, from_bytes
from enchain.chains.errors import MalformedError
from enchain.process.logs import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of a track; the track itself takes megabytes, and stays on disk.

    Attributes:
        newest: Its newest origin, seconds since the epoch; None where it has none.
        members: Which models it knows.
    """

    newest: int | None
    members: frozenset[str]


class Trackbook:
    """Tracks by series.

    Args:
        directory: Made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._entries: dict[str, Entry] = {}

    def get(self, series: str) -> Track | None:
        """Answer the track of a series; None where there is none."""
        track = self._read(series)
        if track is not None:
            self._entries[series] = _entry(track)
        return track

    def known(self, series: Series, horizon: int) -> Track:
        """Answer the track of a series with all that has come since; an empty one where there is none."""
        track = self.get(series.id)
        track = empty((), series.step_seconds, horizon) if track is None else track
        return track.with_actuals(series)

    def entry(self, series: str) -> Entry | None:
        """Answer what is remembered of a track, reading it where that is nothing yet; None for no track."""
        if series not in self._entries:
            self.get(series)
        return self._entries.get(series)

    def place(self, series: str) -> Path:
        """Answer the file of a track, which need not exist."""
        # Ids of workloads have neither a slash nor a tilde.
        return self._directory / f"{series.replace('/', '~')}.track"

    def put(self, series: str, track: Track) -> None:
        """Keep a track, also over a crash: the file is replaced whole."""
        self._directory.mkdir(parents=True, exist_ok=True)
        place = self.place(series)
        draft = place.with_suffix(".new")
        draft.write_bytes(track.to_bytes())
        draft.replace(place)
        self._entries[series] = _entry(track)

    def forget(self, series: str) -> None:
        """Delete a track; one that is not there is no fault."""
        self._entries.pop(series, None)
        self.place(series).unlink(missing_ok=True)

    def _read(self, series: str) -> Track | None:
        place = self.place(series)
        try:
            return from_bytes(place.read_bytes())
        except FileNotFoundError:
            self._entries.pop(series, None)
            return None
        except (OSError, MalformedError) as error:
            _log.warning("track set aside", file=str(place), fault=str(error))
            self._entries.pop(series, None)
            if place.exists():
                place.replace(place.with_suffix(".unreadable"))
            return None


def _entry(track: Track) -> Entry:
    newest = int(track.origins[-1]) if len(track) else None
    return Entry(newest, frozenset(track.members))
