"""The kinds of document that people write, turned into messages.

`enchain.cli.documents` calls it. One table, one function a kind. What a field means is said in the protos;
here is only how it is written. Checks that need engines or other documents are the control plane's.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import SecretRef, to_value
from enchain.cli.experiments import read_experiment
from enchain.cli.fields import Field
from enchain.cli.yamlfile import Document, Place
from enchain.v1 import (
    chain_pb2,
    diagnostic_pb2,
    engine_pb2,
    event_pb2,
    recommendation_pb2,
    value_pb2,
    workload_pb2,
)

RESERVED = ("covers", "timeout", "retry", "fallback", "version")
"""Fields of an implementation that are enchain's; all others are the engine's inputs."""

_ON_FAILURE = {
    "": workload_pb2.ON_FAILURE_UNSPECIFIED,
    "compensate": workload_pb2.ON_FAILURE_COMPENSATE,
    "hold": workload_pb2.ON_FAILURE_HOLD,
}

_MODES = {
    "": recommendation_pb2.PLANNING_MODE_UNSPECIFIED,
    "forecast-only": recommendation_pb2.PLANNING_MODE_FORECAST_ONLY,
    "recommend": recommendation_pb2.PLANNING_MODE_RECOMMEND,
    "auto": recommendation_pb2.PLANNING_MODE_AUTO,
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document as a message.

    Attributes:
        kind: `Workload`, `Engine`, `Chain`, `PlannedEvent` or `Experiment`.
        message: The message, its `name` set.
        document: Where it was written.
        places: For paths of the message, the place in the document.
    """

    kind: str
    message: Message
    document: Document
    places: dict[str, Place] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The full name of what the document is about."""
        return str(getattr(self.message, "name", ""))

    def place_of(self, path: str) -> Place:
        """Answer where a path of the message was written: the place of its longest known prefix."""
        parts = re.findall(r"[^.\[\]]+|\[\d+\]", path)
        rest: list[str | int] = []
        while parts:
            known = self.places.get("".join(_joined(parts)))
            if known is not None:
                return (*known, *reversed(rest))
            last = parts.pop()
            rest.append(int(last[1:-1]) if last.startswith("[") else last)
        return tuple(reversed(rest))


def _joined(parts: list[str]) -> list[str]:
    return [part if not i or part.startswith("[") else f".{part}" for i, part in enumerate(parts)]


def parse(document: Document) -> Parsed:
    """Turn a document into a message by its kind."""
    root = Field(document, (), document.body)
    kind = root.child("kind").required().text()
    reader = _KINDS.get(kind)
    if reader is None:
        root.child("kind").fail(f"`{kind}` is not known", f"Known are {', '.join(_KINDS)}.")
    return reader(root)


def _workload(root: Field) -> Parsed:
    root.only(
        "kind", "name", "description", "inputs", "steps", "outputs",
        "on_failure", "timeout", "slo", "demand", "cost", "planning",
    )  # fmt: skip
    places: dict[str, Place] = {"name": ("name",)}
    message = workload_pb2.Workload(
        name=f"workloads/{root.child('name').required().text()}",
        description=root.child("description").text(),
        inputs=_struct(root.child("inputs")),
        outputs={name: _wire(item) for name, item in root.child("outputs").entries()},
        on_failure=_choice(root.child("on_failure"), _ON_FAILURE),
        timeout=root.child("timeout").duration(),
        slo=_slo(root.child("slo")),
        demand=_demand(root.child("demand")),
        cost=_cost(root.child("cost")),
        planning=_planning(root.child("planning")),
    )
    for index, step in enumerate(root.child("steps").required().items()):
        places[f"steps[{index}]"] = step.place
        message.steps.append(_step(step, f"steps[{index}]", places))
    return Parsed("Workload", message, root.document, places)


def _step(step: Field, path: str, places: dict[str, Place]) -> workload_pb2.Step:
    step.only("name", "description", "by")
    name = step.child("name").required().text()
    message = workload_pb2.Step(name=name, description=step.child("description").text())
    places[f"steps.{name}"] = step.place
    for index, (engine, by) in enumerate(step.child("by").required().entries()):
        places[f"{path}.implementations[{index}]"] = by.place
        places[f"{path}.implementations[{index}].inputs"] = by.place
        places[f"{path}.implementations[{index}].artifacts"] = by.place
        places[f"steps.{name}.by.{engine}.inputs"] = by.place
        message.implementations.append(_implementation(engine, by))
    return message


def _implementation(engine: str, by: Field) -> workload_pb2.Implementation:
    retry = by.child("retry").only("max_attempts", "initial_backoff", "max_backoff")
    return workload_pb2.Implementation(
        engine=engine,
        version=by.child("version").text(),
        covers=by.child("covers").texts(),
        timeout=by.child("timeout").duration(),
        fallback=by.child("fallback").text(),
        retry=None
        if retry.value is None
        else workload_pb2.Retry(
            max_attempts=retry.child("max_attempts").integer(),
            initial_backoff=retry.child("initial_backoff").duration(),
            max_backoff=retry.child("max_backoff").duration(),
        ),
        inputs={name: _wire(item) for name, item in by.entries() if name not in RESERVED},
    )


def _wire(item: Field) -> value_pb2.Value:
    try:
        return to_value(_value(item))
    except InvalidArgumentError as error:
        item.fail(error.message.removeprefix("value: "))


def _value(item: Field) -> Any:
    """Read a value as it stands; `{$secret: "env:NAME"}` alone is a secret by reference."""
    if isinstance(item.value, dict):
        if set(item.value) == {"$secret"}:
            return SecretRef(item.child("$secret").text())
        return {name: _value(child) for name, child in item.entries()}
    if isinstance(item.value, list):
        return [_value(child) for child in item.items()]
    return item.value


def _struct(item: Field) -> struct_pb2.Struct:
    answer = struct_pb2.Struct()
    json_format.ParseDict(item.mapping(), answer)
    return answer


def _choice(item: Field, choices: dict[str, Any]) -> Any:
    word = item.text()
    if word not in choices:
        item.fail(f"is `{word}`", f"Write one of {', '.join(c for c in choices if c)}.")
    return choices[word]


def _slo(item: Field) -> workload_pb2.ServiceLevel | None:
    if item.value is None:
        return None
    item.only("p95", "success")
    success = item.child("success")
    return workload_pb2.ServiceLevel(
        p95=item.child("p95").duration(), success=0.0 if success.value is None else success.share()
    )


def _demand(item: Field) -> workload_pb2.DemandProfile | None:
    if item.value is None:
        return None
    item.only("unit", "peaks", "prometheus", "holidays")
    peaks = [peak.only("cron", "for", "rate") for peak in item.child("peaks").items()]
    return workload_pb2.DemandProfile(
        unit={name: signal.number() for name, signal in item.child("unit").entries()},
        prometheus=item.child("prometheus").text_map(),
        holidays=item.child("holidays").text(),
        peaks=[
            workload_pb2.StatedPeak(
                cron=peak.child("cron").required().text(),
                duration=peak.child("for").required().duration(),
                rate_per_hour=peak.child("rate").required().rate_per_hour(),
            )
            for peak in peaks
        ],
    )


def _cost(item: Field) -> workload_pb2.CostWeights | None:
    if item.value is None:
        return None
    item.only("miss", "wait_per_hour", "currency")
    return workload_pb2.CostWeights(
        miss_price=item.child("miss").number(),
        wait_price_per_hour=item.child("wait_per_hour").number(),
        currency_code=item.child("currency").text("EUR"),
    )


def _planning(item: Field) -> recommendation_pb2.PlanningPolicy | None:
    if item.value is None:
        return None
    item.only(
        "mode", "hysteresis", "cool_down", "max_cost_per_hour",
        "max_added_instances", "exceed_max_by", "exploration", "watch", "scale_in_hold",
    )  # fmt: skip
    shares = ("hysteresis", "exceed_max_by", "exploration")
    written = {name: item.child(name).share() for name in shares if item.child(name).value is not None}
    return recommendation_pb2.PlanningPolicy(
        mode=_choice(item.child("mode"), _MODES),
        cool_down=item.child("cool_down").duration(),
        watch=item.child("watch").duration(),
        scale_in_hold=item.child("scale_in_hold").duration(),
        max_cost_per_hour=item.child("max_cost_per_hour").number(),
        max_added_instances=item.child("max_added_instances").integer(),
        **written,
    )


def _engine(root: Field) -> Parsed:
    root.only("kind", "name", "description", "launch", "pool", "price")
    price = root.child("price").only("hour", "request", "currency")
    pool = root.child("pool").only("min", "max")
    message = engine_pb2.Engine(
        name=f"engines/{root.child('name').required().text()}",
        description=root.child("description").text(),
        launch=engine_pb2.Launch(process=root.child("launch").only("process").child("process").texts()),
        pool=engine_pb2.PoolBounds(min=pool.child("min").integer(), max=pool.child("max").integer(1)),
    )
    if price.value is not None:
        message.price.CopyFrom(engine_pb2.Price(hour=_money(price, "hour"), request=_money(price, "request")))
    return Parsed("Engine", message, root.document)


def _money(price: Field, name: str) -> diagnostic_pb2.Money | None:
    if price.child(name).value is None:
        return None
    nanos = round(price.child(name).number() * 1e9)
    return diagnostic_pb2.Money(
        currency_code=price.child("currency").text("EUR"),
        units=nanos // 10**9,
        nanos=nanos % 10**9,
    )


def _chain(root: Field) -> Parsed:
    root.only("kind", "workload", "name", "description", "use")
    workload = root.child("workload").required().text()
    name = root.child("name").required().text()
    message = chain_pb2.Chain(
        name=f"workloads/{workload}/chains/{name}",
        description=root.child("description").text(),
        use=root.child("use").required().text_map(),
    )
    return Parsed("Chain", message, root.document)


def _planned_event(root: Field) -> Parsed:
    root.only("kind", "workload", "name", "description", "type", "start", "end", "uplift")
    workload = root.child("workload").required().text()
    name = root.child("name").required().text()
    message = event_pb2.PlannedEvent(
        name=f"workloads/{workload}/plannedEvents/{name}",
        description=root.child("description").text(),
        type=root.child("type").required().text(),
        start_time=root.child("start").required().time(),
        end_time=root.child("end").required().time(),
        expected_uplift=root.child("uplift").uplift(),
    )
    written = {"type": "type", "start_time": "start", "end_time": "end", "expected_uplift": "uplift"}
    places: dict[str, Place] = {f"event.{field}": (word,) for field, word in written.items()}
    places |= {"event.name": ("name",), "event.description": ("description",)}
    return Parsed("PlannedEvent", message, root.document, places)


def _experiment(root: Field) -> Parsed:
    message, places = read_experiment(root)
    return Parsed("Experiment", message, root.document, places)


_KINDS: dict[str, Callable[[Field], Parsed]] = {
    "Workload": _workload,
    "Engine": _engine,
    "Chain": _chain,
    "PlannedEvent": _planned_event,
    "Experiment": _experiment,
}

ORDER = ("Engine", "Workload", "Chain", "PlannedEvent", "Experiment")
"""The order in which kinds are applied: what is referred to comes first."""
