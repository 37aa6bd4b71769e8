"""Whatever happens, in whatever order, the pipeline machine keeps its promises.

Random sequences of events, most of them legal: results of every kind, silence, deadlines, cancels,
adoptions and retries. What they lead to is compared with rules that are said here once more,
independently.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.routing import budgets, events, pipeline
from dataplane.routing.effects import CallApply, CallDestroy, Choose, Finish, Hold
from dataplane.routing.leaving import outbox_of, resource_of
from dataplane.routing.resuming import adopt
from dataplane.routing.runs import FINAL, Operation, Run, StepRun, current, is_under_way
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import diagnostic_pb2, operation_pb2, workload_pb2
from tests.harness.pipelines import (
    NOW,
    answer,
    chain_of,
    chosen,
    deprovision_of,
    provision_of,
    update_of,
)

OUTCOMES = (
    diagnostic_pb2.OUTCOME_SUCCEEDED,
    diagnostic_pb2.OUTCOME_SUCCEEDED,
    diagnostic_pb2.OUTCOME_FAILED_CLEAN,
    diagnostic_pb2.OUTCOME_FAILED_PARTIAL,
    diagnostic_pb2.OUTCOME_CANCELLED,
    diagnostic_pb2.OUTCOME_UNKNOWN,
)
PLAIN_MOVES: dict[str, Callable[[int], events.Event]] = {
    "choose": chosen,
    "await": events.CapacityAwaited,
    "none": lambda index: events.NoInstance(index, "none is there"),
    "accept": lambda index: events.StepAccepted(index, reattached=False),
    "absent": lambda index: events.StepAbsent(index, "it was looked for"),
    "unreachable": lambda index: events.StepUnreachable(index, "it does not answer"),
    "cancel": lambda _: events.CancelRequested(""),
    "progress": lambda index: events.StepProgressed(index, "on it", None),
    "handle": lambda index: events.HandleMade(index, diagnostic_pb2.Handle(schema="tool/1")),
}
"""What may happen whatever the world is like, by the index of the step that it happens to."""
MOVES = (*PLAIN_MOVES, "result", "result", "result", "wait", "deadline", "adopt", "retry")


@dataclass
class World:
    """One run, what was asked of engines in it, and the rules that it must keep."""

    run: Run
    now: datetime = NOW
    called: list[tuple[int, int, int]] = field(default_factory=list)
    clean: set[int] = field(default_factory=set)
    """Steps whose last Apply is proven to have left nothing, or that a person retries."""
    finished: int = 0

    def happen(self, event: events.Event, jitter: float) -> None:
        before = self.run.operation
        told = before.SerializeToString(deterministic=True)
        try:
            self.run, effects = pipeline.step(self.run, event, self.now, jitter)
        except (pipeline.IllegalEventError, InvalidArgumentError):
            assert before.SerializeToString(deterministic=True) == told
            return
        assert before.SerializeToString(deterministic=True) == told
        self._note(before, event)
        for effect in effects:
            self._check(effect, event)
        self._check_record(before)

    def _note(self, before: Operation, event: events.Event) -> None:
        if isinstance(event, events.RetryRequested):
            self.clean |= set(range(len(before.steps)))
        if isinstance(event, events.StepAbsent):
            self.clean.add(event.step)
        clean = diagnostic_pb2.OUTCOME_FAILED_CLEAN
        if isinstance(event, events.StepResult) and event.result.outcome == clean:
            self.clean.add(event.step)

    def _check(self, effect: object, event: events.Event) -> None:
        operation = self.run.operation
        if isinstance(effect, CallApply | CallDestroy):
            call = effect.request.call
            key = (effect.step, call.verb, call.generation)
            assert effect.again or key not in self.called, "a new call never has a known key"
            assert not effect.again or key in self.called, "a call is only repeated with its own key"
            if isinstance(effect, CallApply):
                self._check_apply(effect, key)
            self.called.append(key)
        if isinstance(effect, Finish):
            self.finished += 1
            assert self.finished == 1
            assert operation.state in FINAL
        if isinstance(effect, Hold):
            self._check_held(event)

    def _check_apply(self, effect: CallApply, key: tuple[int, int, int]) -> None:
        steps = self.run.operation.steps
        for earlier in list(steps)[: effect.step]:
            assert earlier.state == StepRun.STATE_DONE
            assert earlier.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
        if not effect.again and any(done[0] == effect.step for done in self.called):
            assert effect.step in self.clean, "only what left nothing is tried anew"
        if not effect.again:
            self.clean.discard(effect.step)
        assert key[2] == effect.request.call.generation

    def _check_held(self, event: events.Event) -> None:
        operation = self.run.operation
        assert operation.state == Operation.STATE_HELD
        compensates = operation.on_failure == "ON_FAILURE_COMPENSATE"
        if operation.verb != operation_pb2.VERB_PROVISION or not compensates:
            return
        undoing = any(
            s.intent.verb == operation_pb2.VERB_DEPROVISION or s.state == StepRun.STATE_COMPENSATED
            for s in operation.steps
        )
        silent = isinstance(event, events.DeadlinePassed | events.Adopted)
        waited = isinstance(event, events.StepResult | events.StepUnreachable) and self.run.asks == 0
        assert undoing or silent or waited

    def _check_record(self, before: Operation) -> None:
        operation = self.run.operation
        assert before.state not in FINAL
        assert operation.last_sequence >= before.last_sequence
        numbers = [event.sequence for event in operation.events]
        assert numbers == list(range(operation.last_sequence - len(numbers) + 1, operation.last_sequence + 1))
        assert budgets.size_of(operation) <= budgets.RECORD_BYTES_MAX
        if operation.state in FINAL or operation.state == Operation.STATE_HELD:
            resource_of(self.run, self.now)
            assert budgets.size_of(outbox_of(operation)) <= budgets.OUTBOX_BYTES_MAX
        if operation.state in {Operation.STATE_FAILED, Operation.STATE_CANCELLED}:
            self._check_nothing_left()

    def _check_nothing_left(self) -> None:
        operation = self.run.operation
        if operation.verb != operation_pb2.VERB_PROVISION:
            return
        for index, step in enumerate(operation.steps):
            applied = any(key[0] == index and key[1] == operation.verb for key in self.called)
            clean = step.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
            assert not applied or clean or step.state in {StepRun.STATE_COMPENSATED, StepRun.STATE_PENDING}

    def event(self, move: str, outcome: int, *, retryable: bool) -> events.Event | None:
        index = current(self.run.operation) or 0
        match move:
            case "result":
                return answer(index, OUTCOMES[outcome], retryable=retryable)
            case "retry":
                return events.RetryRequested("configure" if retryable else "")
            case "wait":
                self.now += timedelta(seconds=40)
                return events.WaitOver()
            case "deadline":
                self.now += timedelta(hours=3)
                return events.DeadlinePassed()
            case "adopt":
                return self._adoption()
        return PLAIN_MOVES[move](index)

    def _adoption(self) -> events.Event | None:
        operation = self.run.operation
        if operation.state not in {Operation.STATE_RUNNING, Operation.STATE_COMPENSATING}:
            return None
        taken = adopt(operation, "routers/b", "its owner is gone", self.now)
        self.run = replace(self.run, operation=taken, asks=0, stopping=False)
        return events.Adopted("routers/b", "its owner is gone")


def _first_move(world: World) -> None:
    world.happen(events.Admitted(), 0.5)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["provision", "update", "deprovision"]),
    hold=st.booleans(),
    fallback=st.booleans(),
    moves=st.lists(
        st.tuples(
            st.sampled_from(MOVES), st.integers(0, len(OUTCOMES) - 1), st.booleans(), st.floats(0, 0.99)
        ),
        max_size=40,
    ),
)
def test_the_machine_keeps_its_promises_whatever_happens(
    kind: str, *, hold: bool, fallback: bool, moves: list[tuple[str, int, bool, float]]
) -> None:
    policy = workload_pb2.ON_FAILURE_HOLD if hold else workload_pb2.ON_FAILURE_COMPENSATE
    chain = chain_of(on_failure=policy, fallback="script" if fallback else "")
    make = {"provision": provision_of, "update": update_of, "deprovision": deprovision_of}[kind]
    world = World(make(chain))
    _first_move(world)

    for move, outcome, retryable, jitter in moves:
        if world.run.operation.state in FINAL:
            break
        event = world.event(move, outcome, retryable=retryable)
        if event is not None:
            world.happen(event, jitter)


@settings(max_examples=60, deadline=None)
@given(outcomes=st.lists(st.integers(0, len(OUTCOMES) - 1), min_size=30, max_size=30))
def test_every_operation_comes_to_rest(outcomes: list[int]) -> None:
    world = World(provision_of(chain_of()))
    _first_move(world)

    for outcome in outcomes:
        operation = world.run.operation
        if operation.state in FINAL or operation.state == Operation.STATE_HELD:
            break
        index = current(operation)
        assert index is not None
        if not is_under_way(operation, index):
            world.now += timedelta(seconds=31)
            moves = ["wait", "choose"] if operation.steps[index].HasField("retry_time") else ["choose"]
        else:
            moves = ["result", "wait"] if OUTCOMES[outcome] == diagnostic_pb2.OUTCOME_UNKNOWN else ["result"]
        for move in moves:
            event = world.event(move, outcome, retryable=True)
            assert event is not None
            world.happen(event, 0.5)
    world.now += timedelta(days=1)
    for _ in range(2):
        if world.run.operation.state in {Operation.STATE_RUNNING, Operation.STATE_COMPENSATING}:
            world.happen(events.DeadlinePassed(), 0.5)
    assert world.run.operation.state in FINAL | {Operation.STATE_HELD}


def test_choosing_is_asked_for_before_anything_is_called() -> None:
    _, effects = pipeline.step(provision_of(chain_of()), events.Admitted(), NOW, 0.5)

    assert [type(effect) for effect in effects] == [Choose]
