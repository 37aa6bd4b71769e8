"""Public holidays of a country as a covariate: 1 on a holiday, else 0.

Whoever puts windows together calls it where a workload names a country; without one there are no holidays.
It needs the `holidays` library, imported only when it is called, and reads no clock: days are those of the
series.
"""

from datetime import UTC, datetime

import numpy as np

from controlplane.forecast.series import DAY, FloatArray, Series
from enchain.chains.errors import InvalidArgumentError, Violation

HOLIDAY = "holiday"
"""Name of the covariate."""


def holiday_flags(series: Series, country: str, ahead: int) -> FloatArray:
    """Answer which steps begin on a public holiday.

    Args:
        series: What it is for. Its days are those of UTC: near midnight they differ from the country's own.
        country: ISO 3166-1 alpha-2 code, such as `DE`; may name a part of it, such as `DE-BY`.
        ahead: Steps after the last value.

    Returns:
        Shape (len(series) + ahead,), 0 or 1.

    Raises:
        InvalidArgumentError: There is no such country or part.
        ImportError: The library is not installed.
    """
    import holidays  # noqa: PLC0415 - an optional library, dear to import

    days = series.times(ahead) // DAY
    present = np.unique(days)
    dates = {int(day): datetime.fromtimestamp(int(day) * DAY, UTC).date() for day in present}
    name, _, part = country.partition("-")
    try:
        found = holidays.country_holidays(
            name, subdiv=part or None, years=sorted({date.year for date in dates.values()})
        )
    except NotImplementedError as error:
        told = f"no holidays are known of {country!r}"
        raise InvalidArgumentError(
            told,
            reason="UNKNOWN_COUNTRY",
            violations=(Violation("country", told, "UNKNOWN_COUNTRY"),),
            metadata={"country": country},
            remedy="Name it by its ISO 3166-1 code, such as DE, or a part of it, such as DE-BY.",
        ) from error
    free = np.array([day for day, date in dates.items() if date in found], dtype=np.int64)
    return np.isin(days, free).astype(np.float64)
