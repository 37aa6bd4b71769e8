"""Frames on the worker's pipe: what is packed comes out again, and rubbish is told."""

import numpy as np
import pytest

from controlplane.forecast.series import Event, Series, Window
from controlplane.forecast.worker.frames import HEAD_BYTES, Frame, lengths, pack, unpack
from controlplane.forecast.worker.wire import windows_in, windows_out
from enchain.chains.errors import MalformedError


def _through(frame: Frame) -> Frame:
    data = pack(frame)
    said, rest = lengths(data[:HEAD_BYTES])
    assert len(data) == HEAD_BYTES + said + rest
    return unpack(data[HEAD_BYTES : HEAD_BYTES + said], data[HEAD_BYTES + said :])


def test_a_frame_comes_out_as_it_went_in() -> None:
    frame = _through(Frame("forecast", 7, {"horizon": 48}, {"w0": np.array([1.0, np.nan, 1e300])}))

    assert (frame.kind, frame.number, frame.body) == ("forecast", 7, {"horizon": 48})
    np.testing.assert_array_equal(frame.arrays["w0"], [1.0, np.nan, 1e300])


def test_windows_come_out_as_they_went_in() -> None:
    series = Series("site/cpu-5m", 1_700_000_100, 300, np.array([1.0, np.nan, 3.0]), 100.0)
    event = Event("launch", "campaign", 1_700_000_000, 1_700_003_600, 3.0)
    windows = [Window(series, (event,), {"peaks": np.arange(5.0)}), Window(Series("b", 0, 300, np.zeros(0)))]
    said, arrays = windows_out(windows)

    first, second = windows_in(_through(Frame("x", 1, {"windows": said}, arrays)).body["windows"], arrays)

    assert (first.series.id, first.series.start, first.series.upper) == ("site/cpu-5m", 1_700_000_100, 100.0)
    assert first.events == (event,)
    np.testing.assert_array_equal(first.series.values, series.values)
    np.testing.assert_array_equal(first.covariates["peaks"], np.arange(5.0))
    assert len(second.series) == 0


@pytest.mark.parametrize("head", [b"", b"\0\0\0", b"\xff" * 8])
def test_rubbish_is_no_head(head: bytes) -> None:
    with pytest.raises(MalformedError):
        lengths(head)


@pytest.mark.parametrize(
    ("said", "data"),
    [
        (b"", b""),
        (b"[]", b""),
        (b'{"kind": 1}', b""),
        (b'{"kind":"a","number":1,"body":{}}', b"PK rubbish"),
    ],
)
def test_rubbish_is_no_frame(said: bytes, data: bytes) -> None:
    with pytest.raises(MalformedError):
        unpack(said, data)


def test_a_pickle_is_refused() -> None:
    import io

    archive = io.BytesIO()
    np.savez(archive, w0=np.array([{"a": 1}], dtype=object))

    with pytest.raises(MalformedError):
        unpack(b'{"kind":"a","number":1,"body":{}}', archive.getvalue())
