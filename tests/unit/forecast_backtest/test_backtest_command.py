"""What can be asked of the backtest, and what it answers to what it cannot do."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from controlplane.forecast.backtest import asking
from controlplane.forecast.backtest.__main__ import main
from controlplane.forecast.backtest.eventfile import events
from controlplane.forecast.backtest.sources import model_digest
from controlplane.forecast.registry import COMBINED, NAMES
from controlplane.forecast.series import Event
from enchain.chains.errors import InvalidArgumentError

START = datetime(2026, 3, 1, tzinfo=UTC)
HEADING = "series,name,type,start,end,uplift\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    for name in ("shop", "site"):
        lines = [
            f"{(START + timedelta(hours=hour)).isoformat()},{value:.3f}"
            for hour, value in enumerate(
                100 + 40 * np.sin(np.arange(400) * np.pi / 12) + rng.normal(size=400)
            )
        ]
        (tmp_path / f"{name}.csv").write_text("timestamp,value\n" + "\n".join(lines), encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["--freq", "1h", "--jobs", "1", "--origins", "3", *arguments])


def test_results_as_json_hold_every_score(folder: Path) -> None:
    members = ["--members", "Naive,SeasonalNaive"]
    done = run("--data", str(folder), "--models", "Combined,Naive", *members, "-o", "json")

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["horizons"] == [12, 48]
    assert [(each["model"], each["horizon"]) for each in found["models"]] == [
        ("Combined", 12),
        ("Naive", 12),
        ("Combined", 48),
        ("Naive", 48),
    ]
    naive = found["models"][1]
    assert naive["relative_wql"]["series"] == 2
    assert naive["relative_wql"]["low"] <= naive["relative_wql"]["mean"] <= naive["relative_wql"]["high"]
    assert set(naive["series"]) == {"shop", "site"}
    assert set(naive["series"]["shop"]) == {"relative_wql", "wql", "mase", "smape", "coverage", "below"}


def test_where_the_combination_is_worse_is_listed(folder: Path) -> None:
    done = run("--data", str(folder), "--models", "Combined", "--members", "Naive", "--horizon", "12")

    assert "worse: Combined on shop at 12 steps has" in done.stdout
    assert "of the loss of SeasonalNaive" in done.stdout


def test_models_may_follow_one_another(folder: Path) -> None:
    done = run("--data", str(folder), "--models", "Naive", "SeasonalNaive", "-o", "json")

    assert {each["model"] for each in json.loads(done.stdout)["models"]} == {"Naive", "SeasonalNaive"}
    assert "models come after --models" in run("--data", str(folder), "Naive").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--models", "Magic"], "there is no model Magic"),
        (["--members", "Combined"], "there is no model Combined"),
        (["--models", "no.such.module:Model"], "there is no module no.such.module"),
        (["--until", "shop=soon"], "not a file's stem"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, arguments: list[str], said: str) -> None:
    done = run("--data", str(folder), *arguments)

    assert done.exit_code == 3
    assert said in done.stderr


def test_models_nobody_named_are_left_out_where_their_libraries_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(asking.LIBRARIES, "Prophet", "no_such_library")
    told: list[str] = []

    able = asking.runnable((COMBINED, *NAMES), told.append)

    assert set(NAMES) - set(able) == {"Prophet"}
    assert "pip install 'enchain[forecasting]'" in told[0]


def test_events_are_read_with_what_is_expected_of_them(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    sale = "shop,sale,campaign,2026-03-02T10:00:00Z,2026-03-02T12:00:00Z,1.5\n"
    path.write_text(f"{HEADING}{sale}shop,fair,fair,2026-03-03,2026-03-04,\n", encoding="utf-8")

    day = int(START.timestamp()) + 86400
    assert events(path) == {
        "shop": (
            Event("sale", "campaign", day + 36000, day + 43200, 1.5),
            Event("fair", "fair", day + 86400, day + 2 * 86400, None),
        )
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("series,name,type,start\n", "line 1, column end: is missing"),
        (HEADING + "a,b,c,soon,2026-03-03,\n", "line 2, column start: 'soon' is no time"),
        (HEADING + "a,b,c,2026-03-03,2026-03-03,\n", "line 2, column end: '2026-03-03' is no time after"),
        (HEADING + "a,b,c,2026-03-03,2026-03-04,-1\n", "line 2, column uplift: '-1' is no number above 0"),
        (HEADING + "a,b,c,2026-03-03,2026-03-04,much\n", "line 2, column uplift: 'much'"),
    ],
)
def test_faulty_events_are_refused_with_line_and_column(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidArgumentError) as caught:
        events(path)
    assert fault in caught.value.message


def test_a_models_digest_is_that_of_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    model = tmp_path / "backtested_model.py"
    model.write_text("from controlplane.forecast.gaps import known\n", encoding="utf-8")
    first = model_digest("backtested_model:Model")
    assert model_digest("backtested_model:Model") == first
    model.write_text("from controlplane.forecast.gaps import whole\n", encoding="utf-8")

    assert model_digest("backtested_model:Model") != first
    assert len({model_digest(name) for name in ("Naive", "SeasonalNaive", "Theta")}) == 3
