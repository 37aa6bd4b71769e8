"""Pulling demand from a Prometheus, by the queries of workload profiles.

The leader's demand loop runs it where `--prometheus` names one. It asks for what is missing, at first for all
that the history keeps, and writes whole cells. Whatever fails is counted, shown with the series that lack it,
and tried again; it never ends the term.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

from controlplane.demand.history import History
from controlplane.demand.intake import count_rejected, count_taken
from controlplane.demand.promql import Answer, Range, parse, ranges
from controlplane.demand.samples import Reason
from controlplane.demand.settling import AGE_SECONDS
from controlplane.demand.signals import CELL_SECONDS, DemandKey, Source
from enchain.chains.errors import EnchainError, ExhaustedError, UnavailableError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.process.tls import is_loopback

LAG_SECONDS = 30
"""A cell is asked for so long after its end: scrapes and recording rules take their time."""

AGAIN_CELLS = 3
"""So many of the newest cells are asked for again, in case figures came late."""

QUERY_SECONDS = 20.0

DOWN = "PROMETHEUS_DOWN"
"""Reason of what is raised where it does not answer at all."""

ANSWER_BYTES_MAX = 32 * 1024 * 1024

_log = get_logger(__name__)
_failures = meter(__name__).create_counter(
    "enchain.demand.prometheus_failures", "{query}", "Queries of a Prometheus that failed, by reason."
)


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where a Prometheus is.

    Attributes:
        url: Its address, such as `http://prometheus:9090`; a path before `/api/v1` is kept.
        token_file: File with a bearer token; None where it asks for none.
    """

    url: str
    token_file: Path | None = None

    def headers(self) -> Mapping[str, str]:
        """Answer what every request carries. The file is read each time, since tokens are renewed.

        Raises:
            UnavailableError: The file cannot be read.
        """
        if self.token_file is None:
            return {}
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError(
                f"cannot read {self.token_file}: {error}", reason="NO_PROMETHEUS_TOKEN"
            ) from error
        return {"Authorization": f"Bearer {token}"}


@dataclass(slots=True)
class _Asked:
    """How far a key was asked for, and with which query."""

    query: str
    until: int


class PrometheusSource:
    """Reads a Prometheus into the history.

    Args:
        history: Where figures go.
        settings: Where the Prometheus is.
        clock: Time.
    """

    def __init__(self, history: History, settings: PrometheusSettings, *, clock: Clock) -> None:
        self._history = history
        self._settings = settings
        self._clock = clock
        self._asked: dict[DemandKey, _Asked] = {}

    async def take(self, queries: Mapping[DemandKey, str]) -> None:
        """Ask once for what is missing of each key. What fails is counted and shown; nothing is raised."""
        for key in self._asked.keys() - queries.keys():
            del self._asked[key]
        parts = urlsplit(self._settings.url)
        # A proxy cannot reach this machine's loopback.
        near = is_loopback(f"{parts.hostname}:{parts.port or 0}")
        async with httpx.AsyncClient(timeout=QUERY_SECONDS, trust_env=not near) as client:
            down: EnchainError | None = None
            for key, query in queries.items():
                try:
                    if down is None:
                        await self._take(client, key, query)
                        self._history.faults.pop(key, None)
                    else:
                        self._fail(key, down)
                except EnchainError as error:
                    # Where it does not answer at all, waiting for each query would take too long.
                    down = error if error.reason == DOWN else None
                    self._fail(key, error)

    async def _take(self, client: httpx.AsyncClient, key: DemandKey, query: str) -> None:
        asked = self._asked.get(key)
        if asked is None or asked.query != query:
            newest = await self._history.begin(key, Source.PROMETHEUS, query)
            asked = self._asked[key] = _Asked(query, newest + CELL_SECONDS if newest else 0)
        now = self._clock.now().timestamp()
        end = int((now - LAG_SECONDS) // CELL_SECONDS) * CELL_SECONDS
        oldest = int((now - AGE_SECONDS) // CELL_SECONDS) * CELL_SECONDS
        if end <= asked.until:
            return
        for part in ranges(max(oldest, asked.until - AGAIN_CELLS * CELL_SECONDS), end):
            answer = await self._ask(client, key, query, part)
            await self._history.put(key, Source.PROMETHEUS, part.start, answer.values)
            await self._count(key, answer, since=asked.until)
            asked.until = part.end

    async def _ask(self, client: httpx.AsyncClient, key: DemandKey, query: str, part: Range) -> Answer:
        url = f"{self._settings.url.rstrip('/')}/api/v1/query_range"
        parameters = part.parameters(query, QUERY_SECONDS)
        try:
            async with client.stream(
                "POST", url, data=dict(parameters), headers=dict(self._settings.headers())
            ) as response:
                body = await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            told = str(error) or type(error).__name__
            raise UnavailableError(f"the Prometheus does not answer: {told}", reason=DOWN) from error
        if not response.is_success and not body.lstrip().startswith(b"{"):
            raise UnavailableError(
                f"the Prometheus answers {response.status_code} {response.reason_phrase}",
                reason="PROMETHEUS_REFUSES",
            )
        return parse(body, key.signal, part)

    async def _count(self, key: DemandKey, answer: Answer, *, since: int) -> None:
        """Count what is new; the cells that were asked for again were counted before."""
        rejected: Counter[Reason] = Counter()
        for (cell, reason), count in answer.rejected.items():
            rejected[reason] += count if cell >= since else 0
        rejected = +rejected
        count_rejected(rejected, Source.PROMETHEUS)
        count_taken(int(np.isfinite(answer.values).sum()), Source.PROMETHEUS)
        await self._history.note({(key, reason): count for reason, count in rejected.items()})

    def _fail(self, key: DemandKey, error: EnchainError) -> None:
        _failures.add(1, {"reason": error.reason})
        if self._history.faults.get(key) != error.message:
            _log.warning(
                "demand not pulled", workload=key.workload, signal=key.signal, reason=error.reason,
                fault=error.message,
            )  # fmt: skip
        self._history.faults[key] = error.message


async def _read(response: httpx.Response) -> bytes:
    """Read an answer that is not too large.

    Raises:
        ExhaustedError: It is.
    """
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ExhaustedError(
                f"the Prometheus answers more than {ANSWER_BYTES_MAX // 2**20} MiB",
                reason="ANSWER_TOO_LARGE",
                remedy="Add series up in the query, such as with sum(…).",
            )
    return bytes(body)
