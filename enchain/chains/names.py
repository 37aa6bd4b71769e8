"""Resource names and the ids in them: the only place where a name is taken apart or put together.

Planes, client and command call it. Keys of the store are spelled elsewhere (`enchain.state.keys`). Nothing
here knows whether what is named exists.
"""

import re
from dataclasses import dataclass

from enchain.chains.errors import InvalidArgumentError, Violation

EVERY = "-"
"""Stands for every id where a parent may be left open, as in `workloads/-`."""

SHOWN_MAX = 100
"""Characters of a wrong name that an error repeats."""


@dataclass(frozen=True, slots=True)
class IdRule:
    """What an id looks like: the pattern, and how to say it to people."""

    what: str
    pattern: re.Pattern[str]
    words: str


def _rule(what: str, pattern: str, words: str) -> IdRule:
    return IdRule(what, re.compile(pattern), words)


_SLUG = r"[a-z][a-z0-9-]{0,62}"
_SLUG_WORDS = "small letters, digits and dashes, beginning with a letter, at most 63 characters"
_WORD_WORDS = "small letters, digits and underscores, beginning with a letter, at most 63 characters"
_LABEL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_LABEL_WORDS = "letters, digits, dots, dashes and underscores, at most 128 characters"
_ULID_WORDS = "a ULID: 26 digits and capital letters"

WORKLOAD = _rule("workload id", _SLUG, _SLUG_WORDS)
ENGINE = _rule("engine id", _SLUG, _SLUG_WORDS)
CHAIN = _rule("chain id", _SLUG, _SLUG_WORDS)
TENANT = _rule("tenant id", _SLUG, _SLUG_WORDS)
RESOURCE = _rule("resource id", _SLUG, _SLUG_WORDS)
EVENT = _rule("event id", _SLUG, _SLUG_WORDS)
EVENT_TYPE = _rule("event type", _SLUG, _SLUG_WORDS)
FORECAST = _rule(
    "forecast id",
    r"(requests|cpu|memory|network)-[1-9][0-9]{0,3}(s|m|h|d)",
    "a signal and a grid, such as `cpu-5m`; signals are requests, cpu, memory and network",
)
STEP = _rule("step name", r"[a-z][a-z0-9_]{0,62}", _WORD_WORDS)
FIELD = _rule("field name", r"[a-z][a-z0-9_]{0,62}", _WORD_WORDS)
REVISION = _rule("revision", r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", _LABEL_WORDS.replace("128", "63"))
INSTANCE = _rule("instance id", _LABEL, _LABEL_WORDS)
ROUTER = _rule("router id", _LABEL, _LABEL_WORDS)
ULID = _rule("id", r"[0-7][0-9A-HJKMNP-TV-Z]{25}", _ULID_WORDS)
SHA256 = _rule("digest", r"[0-9a-f]{64}", "64 hex digits")
# A request id becomes the last part of a key, so it may hold no slash.
REQUEST = _rule("request id", r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", _LABEL_WORDS + ", colons too")


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 1]}…"


def violation_of(rule: IdRule, text: str, field: str) -> Violation | None:
    """Answer what is wrong with an id, or None."""
    if rule.pattern.fullmatch(text):
        return None
    said = f"“{_shown(text)}” is no {rule.what}" if text else f"the {rule.what} is missing"
    return Violation(field, f"{said}; write {rule.words}", "INVALID_ID" if text else "REQUIRED")


def check_id(rule: IdRule, text: str, field: str) -> str:
    """Answer the id as it is.

    Raises:
        InvalidArgumentError: It does not keep the rule.
    """
    fault = violation_of(rule, text, field)
    if fault:
        raise InvalidArgumentError(fault.description, reason=fault.reason, violations=[fault])
    return text


def split(name: str, form: str, field: str, rules: tuple[IdRule, ...], *, every: bool = False) -> list[str]:
    """Take a name apart by its form, such as `workloads/{workload}/chains/{chain}`."""
    literals, found = form.split("/"), name.split("/")
    fits = len(literals) == len(found) and all(
        want == got for want, got in zip(literals, found, strict=True) if not want.startswith("{")
    )
    if not fits:
        fault = Violation(
            field,
            f"“{_shown(name)}” is no such name; write {form}"
            if name
            else f"the name is missing; write {form}",
            "INVALID_NAME" if name else "REQUIRED",
        )
        raise InvalidArgumentError(fault.description, reason=fault.reason, violations=[fault])
    ids = [got for want, got in zip(literals, found, strict=True) if want.startswith("{")]
    for rule, text in zip(rules, ids, strict=True):
        if not (every and text == EVERY):
            check_id(rule, text, field)
    return ids


def workload_name(workload: str) -> str:
    """`workloads/{workload}`."""
    return f"workloads/{workload}"


def workload_id(name: str, field: str = "name", *, every: bool = False) -> str:
    """Id in `workloads/{workload}`; with `every`, `-` is an answer too."""
    return split(name, "workloads/{workload}", field, (WORKLOAD,), every=every)[0]


def engine_name(engine: str) -> str:
    """`engines/{engine}`."""
    return f"engines/{engine}"


def engine_id(name: str, field: str = "name", *, every: bool = False) -> str:
    """Id in `engines/{engine}`; with `every`, `-` is an answer too."""
    return split(name, "engines/{engine}", field, (ENGINE,), every=every)[0]


def tenant_name(tenant: str) -> str:
    """`tenants/{tenant}`."""
    return f"tenants/{tenant}"


def tenant_id(name: str, field: str = "parent") -> str:
    """Id in `tenants/{tenant}`."""
    return split(name, "tenants/{tenant}", field, (TENANT,))[0]


def router_name(router: str) -> str:
    """`routers/{router}`."""
    return f"routers/{router}"


def router_id(name: str, field: str = "name") -> str:
    """Id in `routers/{router}`."""
    return split(name, "routers/{router}", field, (ROUTER,))[0]


def control_plane_name(replica: str) -> str:
    """`controlplanes/{replica}`."""
    return f"controlplanes/{replica}"


def route_name(workload: str) -> str:
    """`workloads/{workload}/route`."""
    return f"workloads/{workload}/route"


def route_workload(name: str, field: str = "name") -> str:
    """Workload id in `workloads/{workload}/route`."""
    return split(name, "workloads/{workload}/route", field, (WORKLOAD,))[0]


def convergence_name(workload: str) -> str:
    """`workloads/{workload}/convergence`."""
    return f"workloads/{workload}/convergence"


def convergence_workload(name: str, field: str = "name") -> str:
    """Workload id in `workloads/{workload}/convergence`."""
    return split(name, "workloads/{workload}/convergence", field, (WORKLOAD,))[0]


def artifact_name(digest: str, field: str = "digest") -> str:
    """`artifacts/{hex}` of a digest `sha256:{hex}`."""
    return f"artifacts/{check_id(SHA256, digest.removeprefix('sha256:'), field)}"


def artifact_digest(name: str, field: str = "name") -> str:
    """Digest `sha256:{hex}` of a name `artifacts/{hex}`."""
    return f"sha256:{split(name, 'artifacts/{sha256}', field, (SHA256,))[0]}"


@dataclass(frozen=True, slots=True)
class ChainName:
    """`workloads/{workload}/chains/{chain}@{revision}`; without a revision it means the newest."""

    workload: str
    chain: str
    revision: str = ""

    @classmethod
    def parse(cls, name: str, field: str = "name", *, whole: bool = False) -> "ChainName":
        """Take a name apart. With `whole` the revision must be there."""
        plain, at, revision = name.partition("@")
        workload, chain = split(plain, "workloads/{workload}/chains/{chain}", field, (WORKLOAD, CHAIN))
        if at or whole:
            check_id(REVISION, revision, field)
        return cls(workload, chain, revision)

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"workloads/{self.workload}/chains/{self.chain}{at}"


@dataclass(frozen=True, slots=True)
class SwitchName:
    """`workloads/{workload}/switches/{ulid}`."""

    workload: str
    switch: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "SwitchName":
        """Take a name apart."""
        return cls(*split(name, "workloads/{workload}/switches/{switch}", field, (WORKLOAD, ULID)))

    def __str__(self) -> str:
        return f"workloads/{self.workload}/switches/{self.switch}"


@dataclass(frozen=True, slots=True)
class InstanceName:
    """`engines/{engine}/instances/{instance}`."""

    engine: str
    instance: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "InstanceName":
        """Take a name apart."""
        return cls(*split(name, "engines/{engine}/instances/{instance}", field, (ENGINE, INSTANCE)))

    def __str__(self) -> str:
        return f"engines/{self.engine}/instances/{self.instance}"


@dataclass(frozen=True, slots=True)
class OperationName:
    """`tenants/{tenant}/operations/{ulid}`."""

    tenant: str
    operation: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "OperationName":
        """Take a name apart."""
        return cls(*split(name, "tenants/{tenant}/operations/{operation}", field, (TENANT, ULID)))

    def __str__(self) -> str:
        return f"tenants/{self.tenant}/operations/{self.operation}"


@dataclass(frozen=True, slots=True)
class ResourceName:
    """`tenants/{tenant}/resources/{resource}`."""

    tenant: str
    resource: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "ResourceName":
        """Take a name apart."""
        return cls(*split(name, "tenants/{tenant}/resources/{resource}", field, (TENANT, RESOURCE)))

    def __str__(self) -> str:
        return f"tenants/{self.tenant}/resources/{self.resource}"


@dataclass(frozen=True, slots=True)
class PlannedEventName:
    """`workloads/{workload}/plannedEvents/{event}`."""

    workload: str
    event: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "PlannedEventName":
        """Take a name apart."""
        return cls(*split(name, "workloads/{workload}/plannedEvents/{event}", field, (WORKLOAD, EVENT)))

    def __str__(self) -> str:
        return f"workloads/{self.workload}/plannedEvents/{self.event}"


@dataclass(frozen=True, slots=True)
class ForecastName:
    """`workloads/{workload}/forecasts/{forecast}`, and the names of what belongs to it."""

    workload: str
    forecast: str

    @classmethod
    def parse(cls, name: str, field: str = "name", *, part: str = "") -> "ForecastName":
        """Take a name apart; `part` is what follows the forecast's own, such as `accuracy`."""
        form = "workloads/{workload}/forecasts/{forecast}" + (f"/{part}" if part else "")
        return cls(*split(name, form, field, (WORKLOAD, FORECAST)))

    @property
    def accuracy(self) -> str:
        """Name of how good the forecast has been."""
        return f"{self}/accuracy"

    @property
    def demand(self) -> str:
        """Name of the measured demand behind the forecast."""
        return f"{self}/demand"

    def __str__(self) -> str:
        return f"workloads/{self.workload}/forecasts/{self.forecast}"


def forecast_job_name(job: str) -> str:
    """`forecastJobs/{ulid}`."""
    return f"forecastJobs/{job}"


def forecast_job_id(name: str, field: str = "name") -> str:
    """Id in `forecastJobs/{ulid}`."""
    return split(name, "forecastJobs/{job}", field, (ULID,))[0]
