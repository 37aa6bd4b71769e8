"""Where the leader keeps how the models did on each series: one file each, beside the history.

The forecasting loop owns one. A file that cannot be read is set aside and the track begins anew: a track is
worth days of observation, never correctness. It blocks, so the loop calls it from a thread.
"""

from pathlib import Path

from controlplane.forecast.track import Track, from_bytes
from enchain.chains.errors import MalformedError
from enchain.process.logs import get_logger

_log = get_logger(__name__)


class Trackbook:
    """Tracks by series.

    Args:
        directory: Made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tracks: dict[str, Track] = {}

    def get(self, series: str) -> Track | None:
        """Answer the track of a series; None where there is none."""
        if series not in self._tracks:
            track = self._read(series)
            if track is None:
                return None
            self._tracks[series] = track
        return self._tracks[series]

    def put(self, series: str, track: Track) -> None:
        """Keep a track, also over a crash: the file is replaced whole."""
        self._tracks[series] = track
        self._directory.mkdir(parents=True, exist_ok=True)
        place = self._place(series)
        draft = place.with_suffix(".new")
        draft.write_bytes(track.to_bytes())
        draft.replace(place)

    def keep(self, series: set[str]) -> None:
        """Delete the tracks of all series that are not among these."""
        self._tracks = {name: track for name, track in self._tracks.items() if name in series}
        known = {self._place(name).name for name in series}
        for file in self._directory.glob("*.track"):
            if file.name not in known:
                file.unlink(missing_ok=True)

    def _read(self, series: str) -> Track | None:
        place = self._place(series)
        try:
            return from_bytes(place.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, MalformedError) as error:
            _log.warning("track set aside", file=str(place), fault=str(error))
            if place.exists():
                place.replace(place.with_suffix(".unreadable"))
            return None

    def _place(self, series: str) -> Path:
        # Ids of workloads have neither a slash nor a tilde.
        return self._directory / f"{series.replace('/', '~')}.track"
