"""Windows of demand that every forecasting model has to cope with, and those that global ones learn from."""

import numpy as np

from controlplane.forecast.series import DAY, HOUR, MINUTE, Event, FloatArray, Series, Window

START = 19_905 * DAY
FINE = 5 * MINUTE
HORIZON = 24


def demand(step: int, days: float, seed: int, *, level: float = 100.0) -> FloatArray:
    """Make demand with a day, a week and noise; unlike for each seed."""
    dice = np.random.default_rng(seed)
    times = np.arange(int(days * DAY / step)) * step
    daily = np.sin(2 * np.pi * times / DAY + dice.uniform(0, 6))
    weekly = np.where(times // DAY % 7 >= 5, dice.uniform(0.4, 0.9), 1.0)
    values: FloatArray = level * weekly * (1.5 + daily) * np.exp(dice.normal(0, 0.05, times.size))
    return values


def window(values: FloatArray, *, step: int = HOUR, name: str = "s", upper: float | None = None) -> Window:
    """Make a window whose arrays nobody may write to."""
    held = values.copy()
    held.setflags(write=False)
    return Window(Series(name, START, step, held, upper))


def training(step: int) -> list[Window]:
    """Make what global models learn from."""
    days = 21 if step == HOUR else 8
    return [
        window(demand(step, days, seed, level=10.0**seed), step=step, name=f"train {seed}")
        for seed in range(6)
    ]


def _spiky() -> FloatArray:
    dice = np.random.default_rng(7)
    values: FloatArray = np.where(dice.random(24 * 21) < 0.05, dice.exponential(1000, 24 * 21), 1.0)
    return values


def _with_gaps() -> FloatArray:
    values = demand(HOUR, 28, 8)
    values[[5, 100, 101, 400]] = np.nan
    values[200:240] = np.nan
    values[-3:] = np.nan
    return values


def plain_cases() -> dict[str, Window]:
    """Make windows with so much clean history that a model has to answer."""
    return {
        "three weeks by the hour": window(demand(HOUR, 21, 1)),
        "three months by the hour": window(demand(HOUR, 91, 2)),
        "two weeks at five minutes": window(demand(FINE, 14, 3), step=FINE),
        "three weeks with gaps": window(_with_gaps()),
        "a percentage near its bound": window(
            np.minimum(demand(HOUR, 21, 4, level=60.0), 100.0), upper=100.0
        ),
    }


def odd_cases() -> dict[str, Window]:
    """Make windows at which a model may decline, but never fail or answer nonsense."""
    three: FloatArray = np.array([5.0, 7.0, 6.0])
    late = np.full(24 * 21, np.nan)
    late[-4:] = [1.0, 2.0, 3.0, 4.0]
    started = demand(HOUR, 21, 5)
    started[: 24 * 14] = 0.0
    return {
        "one value": window(three[:1]),
        "two values": window(three[:2]),
        "three values": window(three),
        "three values at five minutes": window(three, step=FINE),
        "a day and a bit": window(demand(HOUR, 1.2, 6)),
        "three days": window(demand(HOUR, 3, 6)),
        "constant": window(np.full(24 * 21, 42.0)),
        "zero": window(np.zeros(24 * 21)),
        "zero at five minutes": window(np.zeros(288 * 8), step=FINE),
        "spiky": window(_spiky()),
        "zero, then demand": window(started),
        "greater than single precision holds": window(demand(HOUR, 21, 9, level=1e40)),
        "smaller than single precision holds": window(demand(HOUR, 21, 9, level=1e-42)),
        "measured only lately": window(late),
        "a day's grid": window(demand(DAY, 60, 10), step=DAY),
    }


def unmeasured() -> Window:
    """Make a window in which nothing was measured."""
    return window(np.full(24 * 21, np.nan))


def sale(day: int) -> Event:
    """Make an event at noon of a day after the start."""
    start = START + day * DAY + 12 * HOUR
    return Event(f"sale {day}", "sale", start, start + 2 * HOUR)
