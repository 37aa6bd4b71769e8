"""Public holidays become a covariate; a country that is not known is named."""

from datetime import UTC, datetime

import numpy as np
import pytest

from controlplane.forecast.holidays import holiday_flags
from controlplane.forecast.series import HOUR, Series
from enchain.chains.errors import InvalidArgumentError

CHRISTMAS_EVE = Series("s", int(datetime(2025, 12, 24, tzinfo=UTC).timestamp()), HOUR, np.ones(24))


def test_holidays_are_marked_in_history_and_ahead() -> None:
    flags = holiday_flags(CHRISTMAS_EVE, "DE", 72)

    assert flags.shape == (96,)
    assert flags.reshape(4, 24).mean(axis=1).tolist() == [0, 1, 1, 0]


def test_holidays_reach_into_the_next_year() -> None:
    flags = holiday_flags(CHRISTMAS_EVE, "US", 24 * 8)

    assert flags.reshape(9, 24).mean(axis=1).tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 1]


def test_parts_of_a_country_have_their_own() -> None:
    epiphany = Series("s", int(datetime(2026, 1, 6, tzinfo=UTC).timestamp()), HOUR, np.ones(1))

    assert holiday_flags(epiphany, "DE-BY", 0).tolist() == [1]
    assert holiday_flags(epiphany, "DE", 0).tolist() == [0]


@pytest.mark.parametrize("country", ["ZZ", "DE-ZZ", ""])
def test_an_unknown_country_is_named(country: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        holiday_flags(CHRISTMAS_EVE, country, 24)

    assert [violation.field for violation in caught.value.violations] == ["country"]
