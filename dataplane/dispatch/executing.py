"""All operations that this router runs: started, bounded in number, handed over.

Admission reserves a place before it writes anything; adoption asks whether there is one. Each operation
is one named task, and none escapes: whatever was started ends with the lease. An execution that fails by
an error of our own gives its operation up, so that another router takes it; the third that fails holds it.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context as contexts

from dataplane.dispatch.execution import Execution, Means
from dataplane.journal.ownership import DisplacedError, Owned
from dataplane.routing import events
from dataplane.routing.runs import FINAL, Run
from enchain.chains.errors import EnchainError, ExhaustedError, UnavailableError
from enchain.process.logs import get_logger
from enchain.process.telemetry import context_from, meter, tracer
from enchain.v1 import diagnostic_pb2, operation_pb2

RUNNING_MAX = 1000
"""Operations that one router runs at once. Beyond it nothing is admitted."""

RETRY_AFTER_SECONDS = 2.0

ENDED_REMEMBERED = 4096

_log = get_logger(__name__)
_tracer = tracer(__name__)
_meter = meter(__name__)
_running = _meter.create_up_down_counter(
    "enchain.operations.running", "{operation}", "Operations that this router runs."
)
_ended = _meter.create_counter(
    "enchain.operations.rested", "{operation}", "Operations that ended or were held, by workload and state."
)
_steps = _meter.create_histogram(
    "enchain.step.duration",
    "s",
    "How long steps took, by engine and outcome.",
    explicit_bucket_boundaries_advisory=[0.05, 0.2, 1, 5, 15, 60, 300, 900, 3600],
)
_displaced = _meter.create_counter(
    "enchain.operations.displaced", "{operation}", "Operations that another router took from this one."
)


class Executor:
    """Runs operations.

    Args:
        means: What executions work with.
        running_max: The bound.
    """

    def __init__(self, means: Means, *, running_max: int = RUNNING_MAX) -> None:
        self._means = means
        self._running_max = running_max
        self._reserved = 0
        self._executions: dict[str, Execution] = {}
        # By execution and not by name: one that is still ending may share its operation with the next.
        self._tasks: dict[Execution, asyncio.Task[None]] = {}
        self._ended: deque[str] = deque(maxlen=ENDED_REMEMBERED)
        self._stopping = False

    @property
    def running(self) -> Mapping[str, Execution]:
        """The operations that run here, by name."""
        return self._executions

    @property
    def has_room(self) -> bool:
        """Whether another operation may be taken up."""
        return not self._stopping and len(self._tasks) + self._reserved < self._running_max

    def has_ended_here(self, operation: str) -> bool:
        """Whether an operation (by id) came to rest here, so that its owner key had to go. Told once."""
        if operation not in self._ended:
            return False
        self._ended.remove(operation)
        return True

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Keep a place for an operation that is about to be admitted.

        Raises:
            UnavailableError: The router stops.
            ExhaustedError: It runs as many as it may.
        """
        if self._stopping:
            raise UnavailableError(
                "this router is stopping",
                reason="ROUTER_STOPPING",
                remedy="Ask another router.",
                retry_after=0.1,
            )
        if not self.has_room:
            raise ExhaustedError(
                f"this router runs {len(self._tasks)} operations, as many as it may",
                reason="TOO_MANY_OPERATIONS",
                remedy="Send the request again later, or to another router.",
                metadata={"subject": "router:operations", "limit": str(self._running_max)},
                retry_after=RETRY_AFTER_SECONDS,
            )
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1

    def start(self, owned: Owned, run: Run, *, epoch: int, first: events.Event, shown: int = 0) -> None:
        """Run an operation that this router owns.

        Args:
            owned: The ownership.
            run: The operation as it stands in the journal.
            epoch: The store's epoch.
            first: What happened last.
            shown: Durable events up to here were shown before.

        Raises:
            DisplacedError: The claim's answer came too late: it holds no longer.
        """
        name = str(owned.name)
        self._refuse_late(name, owned)
        execution = Execution(self._means, owned, run, epoch=epoch, first=first, shown=shown)
        self._executions[name] = execution
        _running.add(1)
        task = asyncio.create_task(self._supervise(name, execution), name=f"run {name}")
        self._tasks[execution] = task
        task.add_done_callback(lambda _: self._forget(name, execution))

    def _refuse_late(self, name: str, owned: Owned) -> None:
        """Refuse a claim that was lost while its answer was under way: nobody would come to end it.

        What was lost with the old lease must not run under the new one, and what was taken up again since
        has a newer owner here.
        """
        if not self._means.stands(owned.lease):
            raise DisplacedError(f"this router has lost the lease under which it claimed {name}")
        current = self._executions.get(name)
        if current is not None and current.owned.token >= owned.token:
            raise DisplacedError(f"this router has taken {name} up again meanwhile")

    async def _supervise(self, name: str, execution: Execution) -> None:
        operation = execution.run_state.operation
        token = contexts.attach(context_from(operation.traceparent))
        try:
            with _tracer.start_as_current_span(
                f"enchain.operation {operation_pb2.Verb.Name(operation.verb)}",
                attributes={"enchain.operation": name, "enchain.chain": operation.chain},
            ):
                await execution.run()
            self._rested(execution)
        except DisplacedError as error:
            _displaced.add(1)
            _log.warning("operation displaced", operation=name, reason=error.message)
            self._means.fanout.close(name, "another router goes on with it")
        except Exception:  # noqa: BLE001 - whatever it is, the operation must not stay with us
            _log.exception("execution failed by an error of our own", operation=name)
            self._means.fanout.close(name, "this router cannot go on with it")
            await self._give_up(execution)
        finally:
            contexts.detach(token)

    def _forget(self, name: str, execution: Execution) -> None:
        """It has ended, or was cancelled before its first step."""
        _running.add(-1)
        del self._tasks[execution]
        if self._executions.get(name) is execution:
            del self._executions[name]

    def _rested(self, execution: Execution) -> None:
        operation = execution.run_state.operation
        self._ended.append(execution.owned.name.operation)
        state = operation_pb2.Operation.State.Name(operation.state)
        _ended.add(1, {"workload": operation.workload, "state": state})
        for step in operation.steps:
            if step.HasField("start_time") and step.HasField("end_time"):
                took = step.end_time.ToNanoseconds() - step.start_time.ToNanoseconds()
                outcome = diagnostic_pb2.Outcome.Name(step.outcome)
                _steps.record(max(took, 0) / 1e9, {"engine": step.engine, "outcome": outcome})
        _log.info(
            "operation at rest",
            operation=operation.name,
            workload=operation.workload,
            chain=operation.chain,
            state=state,
            final=operation.state in FINAL,
        )

    async def _give_up(self, execution: Execution) -> None:
        try:
            await self._means.journal.release(execution.owned)
        except EnchainError as error:
            _log.warning("operation not released", operation=execution.name, reason=error.message)

    def tell(self, operation: str, event: events.Event) -> bool:
        """Let an operation (by id) know of something; answer whether it runs here."""
        for execution in self._executions.values():
            if execution.owned.name.operation == operation:
                execution.tell(event)
                return True
        return False

    def runs(self, name: str) -> bool:
        """Whether an operation runs here."""
        return name in self._executions

    async def displace_all(self, reason: str) -> None:
        """The lease is lost, and with it every ownership: stop, and let others take over."""
        names = [execution.name for execution in self._tasks]
        await self._cancel_all()
        for name in names:
            self._means.fanout.close(name, reason)

    async def hand_over(self) -> int:
        """Stop running, give every operation up, and answer how many there were. Tools go on undisturbed."""
        self._stopping = True
        executions = list(self._tasks)
        await self._cancel_all()
        await asyncio.gather(*(self._give_up(execution) for execution in executions))
        return len(executions)

    async def _cancel_all(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel("this router gives it up")
        if tasks:
            await asyncio.wait(tasks)
