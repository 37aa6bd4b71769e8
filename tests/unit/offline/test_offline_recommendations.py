"""Recommendations from files: what people write, the ways it leaves, and what comes out in the end."""

import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.offline.documents import CHAINS_MAX, load, ways
from controlplane.offline.known import known_of, missing
from enchain.chains.errors import InvalidArgumentError
from enchain.cli.exits import FAILED, INVALID, OK
from enchain.cli.yamlfile import DocumentError
from enchain.v1 import workload_pb2

SITE = """
kind: Workload
name: site
steps:
- name: configure
  by: {terraform: {covers: [configure, serve]}, ansible: {}}
- name: serve
  by: {process: {}}
slo: {p95: 60s, success: 99%}
cost: {miss: 0.5, currency: EUR}
---
{kind: Engine, name: ansible, pool: {min: 0, max: 20}, price: {hour: 0.04}}
---
{kind: Engine, name: process, pool: {min: 1, max: 20}, price: {hour: 0.02}}
---
{kind: Engine, name: terraform, pool: {min: 0, max: 20}, price: {hour: 4.0}}
---
{kind: Expectation, engine: ansible, p50: 4s, p95: 10s, success: 99.9%, cold_start: 10s}
---
{kind: Expectation, engine: process, steps: [serve], p50: 1s, p95: 3s, success: 99.9%}
"""
TERRAFORM = "---\n{kind: Expectation, engine: terraform, p50: 6s, p95: 15s, cold_start: 20s}\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "site.yaml"
    file.write_text(text)
    return file


def metrics(folder: Path, hours: int = 24 * 7, column: str = "requests") -> Path:
    """Write demand with a daily season, hour by hour."""
    start = datetime(2026, 10, 5, tzinfo=UTC)
    lines = [f"timestamp,{column}"]
    for hour in range(hours):
        value = 60 + 40 * math.sin(2 * math.pi * hour / 24)
        lines.append(f"{(start + timedelta(hours=hour)).isoformat()},{value:.3f}")
    file = folder / "demand.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-m", "controlplane.offline", *arguments]
    return subprocess.run(asked, check=False, capture_output=True, text=True)


def test_every_way_is_found_those_that_do_two_steps_at_once_too(tmp_path: Path) -> None:
    found = ways(load(written(tmp_path, SITE)).workload)

    assert [[choice.engine for choice in way] for way in found] == [["terraform"], ["ansible", "process"]]
    assert found[0][0].steps == ("configure", "serve")


def test_too_many_ways_are_refused_not_cut() -> None:
    steps = [
        workload_pb2.Step(
            name=f"s{step}",
            implementations=[workload_pb2.Implementation(engine=f"e{number}") for number in range(9)],
        )
        for step in range(2)
    ]

    with pytest.raises(InvalidArgumentError, match=f"more than {CHAINS_MAX} ways"):
        ways(workload_pb2.Workload(name="workloads/w", steps=steps))


def test_a_log_normal_is_laid_through_what_is_expected(tmp_path: Path) -> None:
    expectation = load(written(tmp_path, SITE)).expectations[0]
    duration = expectation.profile.provision.duration

    # sigma = ln(10 / 4) / 1.6449, mean = 4 exp(sigma² / 2).
    assert duration.mean.ToNanoseconds() / 1e9 == pytest.approx(4.6714, abs=1e-3)
    assert duration.p99.ToNanoseconds() / 1e9 == pytest.approx(14.617, abs=1e-2)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("{kind: Expectation, engine: x, p50: 5s, p95: 2s}", "p95: is to be at least p50"),
        ("{kind: Expectation, engine: x, p95: 2s}", "p50"),
        ("{kind: Expectation, engine: x, p50: 1s, p95: 2s, colour: red}", "colour"),
        ("{kind: Expectation, engine: x, p50: 1s, p95: 2s, success: 120%}", "success"),
    ],
)
def test_a_wrong_expectation_is_named_with_its_field(tmp_path: Path, wrong: str, fault: str) -> None:
    with pytest.raises(DocumentError, match=fault):
        load(written(tmp_path, f"{SITE}---\n{wrong}\n"))


def test_two_workloads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="has 2 workloads"):
        load(written(tmp_path, f"{SITE}---\n{SITE.replace('name: site', 'name: other')}"))


def test_what_nobody_stated_is_named_and_nothing_is_made_up(tmp_path: Path) -> None:
    read = load(written(tmp_path, SITE))

    assert missing(read) == ["terraform at configure+serve"]
    assert {profile.engine for profile in known_of(read, {}, 0).profiles} == {"ansible", "process"}


def test_a_recommendation_comes_out_with_rivals_and_reasons(tmp_path: Path) -> None:
    file, picture = written(tmp_path, SITE + TERRAFORM), tmp_path / "demand.png"

    done = command(
        "--from", str(metrics(tmp_path)), "--workload", str(file), "--png", str(picture), "--output", "json"
    )

    assert done.returncode == OK, done.stderr
    made = json.loads(done.stdout)
    assert made["chosen"]["chain"].endswith("/ansible+process@offline")
    assert made["chosen"]["feasible"]
    assert [pool["engine"] for pool in made["chosen"]["pools"]] == ["ansible", "process"]
    assert all(pool["target"] >= 1 for pool in made["chosen"]["pools"])
    assert [each["chain"].rpartition("/")[2] for each in made["rivals"]] == ["terraform@offline"]
    assert made["rivals"][0]["reasons"]
    assert made["input_digest"].startswith("sha256:")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_people_read_a_chart_and_plain_words(tmp_path: Path) -> None:
    file = written(tmp_path, SITE + TERRAFORM)

    done = command("--from", str(metrics(tmp_path)), "--workload", str(file))

    assert done.returncode == OK, done.stderr
    assert "site · requests at 1h" in done.stdout
    assert "site: switch to ansible+process@offline" in done.stdout
    assert "WHY NOT" in done.stdout


def test_a_promise_that_nothing_keeps_ends_with_1(tmp_path: Path) -> None:
    file = written(tmp_path, SITE.replace("p95: 60s", "p95: 1s"))

    done = command("--from", str(metrics(tmp_path)), "--workload", str(file))

    assert done.returncode == FAILED
    assert "nothing is known of terraform at configure+serve: state it as an Expectation" in done.stdout


@pytest.mark.parametrize(
    ("hours", "column", "fault"),
    [(24, "requests", "1.0 days of requests are too few"), (200, "colour,x", "none of its columns is named")],
)
def test_demand_that_cannot_be_used_is_told_with_the_remedy(
    tmp_path: Path, hours: int, column: str, fault: str
) -> None:
    demand = metrics(tmp_path, hours)
    demand.write_text(demand.read_text().replace("requests", column.split(",", maxsplit=1)[0]))
    if "," in column:
        lines = demand.read_text().splitlines()
        demand.write_text("\n".join([lines[0] + ",x", *(f"{line},1" for line in lines[1:])]) + "\n")

    done = command("--from", str(demand), "--workload", str(written(tmp_path, SITE)))

    assert done.returncode == INVALID
    assert fault in done.stderr
    assert "Give a CSV file with `timestamp` and columns named by signals" in done.stderr
