"""What was learned is written whole, read again to the last bit, and refused where it does not match."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controlplane.forecast import artifacts
from controlplane.forecast.lstm import saved
from controlplane.forecast.lstm.model import FittedLstm
from controlplane.forecast.series import Window
from enchain.chains.errors import EnchainError, MalformedError, NotFoundError, PreconditionError


@pytest.fixture
def place(fitted: FittedLstm, waves: list[Window], tmp_path: Path) -> Path:
    where = tmp_path / "LSTM" / "one"
    saved.save(fitted, where, data=artifacts.data_digest(waves), report={"seed": 7, "seconds": 1.5})
    return where


def change(place: Path, **fields: Any) -> None:
    said = json.loads((place / artifacts.MANIFEST).read_text())
    (place / artifacts.MANIFEST).write_text(json.dumps({**said, **fields}))


def test_it_forecasts_the_same_after_reading(place: Path, fitted: FittedLstm, waves: list[Window]) -> None:
    again = saved.load(place)

    np.testing.assert_array_equal(again.forecast(waves, 12), fitted.forecast(waves, 12))
    assert (again.settings, again.horizon, again.step_seconds) == (fitted.settings, 12, 3600)
    assert fitted.settings.ridge


def test_the_manifest_tells_of_the_training(place: Path, waves: list[Window]) -> None:
    said = json.loads((place / artifacts.MANIFEST).read_text())

    assert said["data"] == artifacts.data_digest(list(reversed(waves)))
    assert said["features"] == artifacts.feature_digest()
    assert said["libraries"]["keras"]
    assert said["report"]["seed"] == 7
    assert said["report"]["series"] == 3
    assert len(said["report"]["losses"][0]) == len(said["report"]["validation_losses"][0])


def test_nothing_else_is_left_beside_it_and_it_is_never_overwritten(place: Path, fitted: FittedLstm) -> None:
    assert [each.name for each in place.parent.iterdir()] == ["one"]
    before = (place / artifacts.MANIFEST).read_bytes()

    with pytest.raises(OSError, match="not empty"):
        saved.save(fitted, place, data="other", report={})

    assert (place / artifacts.MANIFEST).read_bytes() == before
    assert [each.name for each in place.parent.iterdir()] == ["one"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"format": 99}, "format"),
        ({"model": "LightGBM"}, "model"),
        ({"features": "0" * 64}, "features"),
    ],
)
def test_what_does_not_match_is_refused(place: Path, fields: dict[str, Any], field: str) -> None:
    change(place, **fields)

    with pytest.raises(PreconditionError) as caught:
        saved.load(place)

    assert caught.value.reason == "ARTIFACT_MISMATCH"
    assert caught.value.metadata["field"] == field
    assert caught.value.remedy


@pytest.mark.parametrize("file", ["network-0.npz", "settings.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "gone", "empty"])
def test_a_damaged_file_is_refused(place: Path, file: str, harm: str) -> None:
    path = place / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes({"flipped": bytes(content), "cut": bytes(content[:-9]), "empty": b""}[harm])

    with pytest.raises(MalformedError) as caught:
        saved.load(place)

    assert caught.value.reason == "ARTIFACT_DAMAGED"
    assert caught.value.metadata["field"] == file


@pytest.mark.parametrize(
    "fields", [{"files": {"../other": "0"}}, {"files": 3}, {"report": []}, {"new": 1}, {"horizon": "far"}]
)
def test_a_manifest_that_was_tampered_with_is_refused(place: Path, fields: dict[str, Any]) -> None:
    change(place, **fields)

    with pytest.raises(EnchainError) as caught:
        saved.load(place)

    assert caught.value.reason == "ARTIFACT_DAMAGED"


def test_weights_of_another_network_are_refused(place: Path, fitted: FittedLstm) -> None:
    said = json.loads((place / "settings.json").read_text())
    other = json.dumps({**said, "units": 9}).encode()
    manifest = artifacts.load(place, "LSTM").manifest
    files = {**artifacts.load(place, "LSTM").files, "settings.json": other}
    artifacts.save(place.with_name("two"), manifest, files)

    with pytest.raises(MalformedError, match="do not fit"):
        saved.load(place.with_name("two"))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        saved.load(tmp_path / "nothing")

    assert caught.value.reason == "ARTIFACT_MISSING"


def test_the_data_digest_knows_values_events_and_covariates(waves: list[Window]) -> None:
    window = waves[0]
    more = Window(window.series, window.events, {"peak": np.zeros(len(window.series))})

    assert artifacts.data_digest([window]) != artifacts.data_digest([more])
    assert artifacts.data_digest([window]) != artifacts.data_digest([waves[1]])
