"""Experiments as people name and list them: `WORKLOAD/EXPERIMENT`, and the columns of a list."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from google.protobuf.message import Message

from enchain.chains.warming import start_told
from enchain.cli.output import age, enum_word
from enchain.client import Client
from enchain.v1 import experiment_pb2


def experiment_name(name: str) -> str:
    """Answer the full name of WORKLOAD/EXPERIMENT; a full name, as errors give it, is taken too."""
    workload, slash, experiment = short(name).partition("/")
    if not slash:
        raise click.UsageError("an experiment is named WORKLOAD/EXPERIMENT.")
    return f"workloads/{workload}/experiments/{experiment}"


def short(name: str) -> str:
    """Answer WORKLOAD/EXPERIMENT of a full name."""
    return name.removeprefix("workloads/").replace("/experiments/", "/")


def coverage(experiment: experiment_pb2.Experiment) -> str:
    """The share of keys that is enrolled now, and where a ramp leads to."""
    now = experiment.phases[-1].coverage if experiment.phases else experiment.coverage
    return f"{now:g} %" if now == experiment.coverage else f"{now:g} of {experiment.coverage:g} %"


def _ended(experiment: experiment_pb2.Experiment) -> str:
    if not experiment.HasField("conclusion"):
        return "-"
    return f"{experiment.conclusion.winner or 'no winner'} ({experiment.conclusion.reason})"


COLUMNS: Mapping[str, Callable[[Any], Any]] = {
    "experiment": lambda e: short(e.name),
    "state": lambda e: enum_word(experiment_pb2.Experiment.State, e.state, "STATE_"),
    "arms": lambda e: ", ".join(f"{arm.name} {arm.weight:g}" for arm in e.arms),
    "goal": lambda e: e.goal.metric,
    "coverage": coverage,
    "phase": lambda e: e.phases[-1].number if e.phases else "-",
    "winner": _ended,
    "age": lambda e: age(e.create_time),
}


def starts(experiments: Iterable[Message]) -> list[str]:
    """Say of each experiment whose start waits, or was not made, what it waits for or what was wrong."""
    found = [each for each in experiments if isinstance(each, experiment_pb2.Experiment)]
    return [f"{short(each.name)}: {told}" for each in found if (told := start_told(each))]


async def experiments_page(client: Client, workload: str, token: str) -> tuple[list[Message], str]:
    """Answer a page of the experiments of a workload, or of all with `-`, and the next token."""
    page = await client.experiments.ListExperiments(
        experiment_pb2.ListExperimentsRequest(parent=f"workloads/{workload}", page_token=token)
    )
    return list(page.experiments), page.next_page_token
