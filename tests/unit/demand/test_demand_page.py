"""The page about demand says what the code does: each metric, each reason, each bound."""

import re
from pathlib import Path

import pytest

from controlplane.demand import appending, history, intake, promql, samples, settling, signals
from controlplane.demand.otel_names import MEANINGS, STANDS_FOR_RESOURCE
from controlplane.forecast.series import WEEK

PAGE = (Path(__file__).parents[3] / "docs" / "demand.md").read_text()


def rows(*columns: str) -> list[tuple[str, ...]]:
    """The rows of tables that have such columns."""
    return re.findall(r"^\| " + r" \| ".join(columns) + r" \|$", PAGE, re.MULTILINE)


def test_every_reason_stands_there_in_the_same_words() -> None:
    told = rows(r"`([A-Z_]+)`", "(.+)")

    assert told == [(reason.value, words) for reason, words in samples.WORDS.items()]


def test_every_metric_stands_there_in_the_order_that_counts() -> None:
    told = rows(r"`([a-z0-9_.]+)`", r"`(\w+)`", "(counter|gauge)")

    assert told == [
        (name, meaning.signal.value, "counter" if meaning.counter else "gauge")
        for name, meaning in MEANINGS.items()
    ]
    assert sorted(MEANINGS.values(), key=lambda meaning: meaning.rank) == list(MEANINGS.values())


def test_every_signal_stands_there_with_its_unit() -> None:
    told = rows(r"`(\w+)`", r"`([^`]+)`[^|]*", ".+")

    assert told == [(signal.value, rule.unit) for signal, rule in signals.RULES.items()]


@pytest.mark.parametrize(
    "said",
    [
        ", ".join(f"`{name}`" for name in STANDS_FOR_RESOURCE),
        f"{appending.SERIES_MAX:,} pushed series at once, {appending.WORKLOAD_SERIES_MAX:,} of one workload",
        f"{history.KEYS_MAX:,} signals times sources",
        f"{intake.AT_ONCE_MAX} exports at once",
        f"at most {promql.SERIES_MAX:,}",
        f"Kept: {settling.AGE_SECONDS // WEEK} weeks",
        f"kept for {settling.SETTLE_SECONDS // 3600} hours",
        f"unless that is more than {samples.SPAN_SECONDS // 60} minutes",
        f"10^{len(str(int(signals.RULES[signals.Signal.CPU].ceiling))) - 1} cores",
    ],
)
def test_every_bound_stands_there(said: str) -> None:
    assert said in " ".join(PAGE.split())
