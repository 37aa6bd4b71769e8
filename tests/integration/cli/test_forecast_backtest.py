"""`enchain forecast backtest` runs the real backtest in this terminal, and ends as it does."""

import asyncio
import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from enchain.cli import exits
from enchain.cli.commands import forecast_backtest
from enchain.cli.modules import require

START = datetime(2026, 3, 1, tzinfo=UTC)
STARTER = "from enchain.cli.commands.forecast_backtest import backtest; backtest()"


async def command(*arguments: str) -> tuple[int, str, str]:
    """Run the command; answer its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, told = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), told.decode()


def write(path: Path, hours: int) -> None:
    """Write a trace that goes up and down with the day."""
    lines = ["timestamp,value"]
    for hour in range(hours):
        stamp = (START + timedelta(hours=hour)).isoformat()
        lines.append(f"{stamp},{100 + 40 * (hour % 24 > 8) + hour % 7}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


async def test_it_forecasts_writes_and_tells(tmp_path: Path) -> None:
    write(tmp_path / "shop.csv", 400)
    out = tmp_path / "out" / "forecasts.csv"
    out.parent.mkdir()

    code, table, told = await command(
        "--data", str(tmp_path), "--freq", "1h", "--origins", "2", "--horizon", "24",
        "--models", "Combined,SeasonalNaive,Naive", "--members", "SeasonalNaive,Naive",
        "--forecasts", str(out),
    )  # fmt: skip

    assert code == exits.OK, told
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["series", "model", "origin", "step", *(f"q0.{level}" for level in range(1, 10))]
    assert len(rows) == 3 * 2 * 24
    assert {row["model"] for row in rows} == {"Combined", "SeasonalNaive", "Naive"}
    last = START + timedelta(hours=400 - 24 - 1)
    assert {row["origin"] for row in rows} == {
        time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in (last, last - timedelta(hours=37))
    }
    assert "24 steps" in table
    assert "SeasonalNaive" in table


async def test_a_faulty_file_is_named_with_line_and_column(tmp_path: Path) -> None:
    write(tmp_path / "shop.csv", 400)
    with (tmp_path / "shop.csv").open("a", encoding="utf-8") as file:
        file.write("2026-03-17T16:00:00Z,many\n")

    code, table, told = await command("--data", str(tmp_path), "--freq", "1h")

    assert code == exits.INVALID
    assert "shop.csv, line 402, column value: 'many' is no finite number" in told
    assert not table


def test_what_is_not_installed_is_said_with_what_to_install() -> None:
    require(("numpy", forecast_backtest.MODULE), "forecasting")

    with pytest.raises(click.UsageError, match=r"no_such_module. pip install 'enchain\[forecasting\]'"):
        require(("numpy", "controlplane.no_such_module"), "forecasting")
