"""What engines of `site` take and did, for tests of plans: prices, and operations that are folded."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random

from ulid import ULID

from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops.outbox import OutboxLoop
from controlplane.profiles.reader import ProfileReader
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, put
from enchain.v1 import diagnostic_pb2, engine_pb2, operation_pb2
from tests.harness.controlplane import Plane
from tests.harness.site import PARENT


async def price(plane: Plane, engine: str, request: float) -> None:
    """Say what an engine takes for each request."""
    money = diagnostic_pb2.Money(currency_code="EUR", units=int(request), nanos=round(request % 1 * 1e9))
    await plane.engines.CreateEngine(
        engine_pb2.CreateEngineRequest(
            engine_id=engine, engine=engine_pb2.Engine(price=engine_pb2.Price(request=money))
        )
    )


async def measure(
    plane: Plane,
    chain: str,
    seconds: Mapping[tuple[str, str], float],
    outcome: diagnostic_pb2.Outcome.ValueType = diagnostic_pb2.OUTCOME_SUCCEEDED,
) -> None:
    """Let 40 operations end on a chain, and fold them as the leader does."""
    ended = datetime.now(UTC) - timedelta(minutes=10)
    puts = []
    for number in range(40):
        operation = str(ULID.from_datetime(ended))
        entry = operation_pb2.OutboxEntry(
            operation=f"tenants/default/operations/{operation}",
            verb=operation_pb2.VERB_PROVISION,
            state=operation_pb2.Operation.STATE_SUCCEEDED,
            workload=PARENT,
            chain=chain,
        )
        entry.create_time.FromDatetime(ended - timedelta(seconds=10))
        entry.end_time.FromDatetime(ended)
        for (step, engine), took in seconds.items():
            made = entry.steps.add(step=step, engine=engine, version="1.0", outcome=outcome, attempts=1)
            made.duration.FromNanoseconds(round(took * (0.9 + number / 200) * 1e9))
        puts.append(Put(keys.outbox(operation), encode(entry)))
    await put(plane.store, puts)
    readers = (RequestRateReader(), ProfileReader())
    await OutboxLoop(readers, clock=SystemClock(), rng=Random(0)).sweep(plane.store)
