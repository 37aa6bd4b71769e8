"""`enchain experiments start`, `pause`, `resume`, `coverage`, `weights`, `conclude` and `delete`."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias, TypeVar

import click

from enchain.chains.warming import start_told
from enchain.cli.experiment_names import COLUMNS, experiment_name, short
from enchain.cli.output import dump, output_option, plain, show
from enchain.cli.running import run
from enchain.cli.switches import read_duration
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import experiment_pb2, experiment_pb2_grpc

Experiment = experiment_pb2.Experiment

Request = TypeVar(
    "Request",
    experiment_pb2.StartExperimentRequest,
    experiment_pb2.PauseExperimentRequest,
    experiment_pb2.ResumeExperimentRequest,
    experiment_pb2.SetCoverageRequest,
    experiment_pb2.SetWeightsRequest,
    experiment_pb2.ConcludeExperimentRequest,
)
Send: TypeAlias = Callable[[Request], Awaitable[Experiment]]

_experiment = click.argument("experiment", metavar="WORKLOAD/EXPERIMENT")
_reason = click.option("--reason", default="", help="Why; it is kept in the audit and the history.")
_dry_run = click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
_etag = click.option("--etag", default="", help="Only if the experiment is still as read.")


@click.command()
@_experiment
@_dry_run
@click.option(
    "--warm-timeout", "warm", callback=read_duration, metavar="DURATION",
    help="How long instances that are missing may take to be ready.  [default: 5m]",
)  # fmt: skip
@_etag
@output_option
def start(experiment: str, dry_run: bool, warm: timedelta | None, etag: str, output: str) -> None:
    """Start a draft: its chains are pinned, and requests go to its arms.

    Where instances must be started first it is warming until they are ready, and enrols nobody.
    """
    request = experiment_pb2.StartExperimentRequest(etag=etag, validate_only=dry_run)
    if warm is not None:
        request.warm_timeout.FromTimedelta(warm)
    _run(experiment, request, lambda stub: stub.StartExperiment, output, tell=_warming)


@click.command()
@_experiment
@_reason
@_etag
@output_option
def pause(experiment: str, reason: str, etag: str, output: str) -> None:
    """Enrol nobody new; what was assigned stays."""
    request = experiment_pb2.PauseExperimentRequest(etag=etag, reason=reason)
    _run(experiment, request, lambda stub: stub.PauseExperiment, output)


@click.command()
@_experiment
@_reason
@_etag
@output_option
def resume(experiment: str, reason: str, etag: str, output: str) -> None:
    """Enrol again, in the same phase."""
    request = experiment_pb2.ResumeExperimentRequest(etag=etag, reason=reason)
    _run(experiment, request, lambda stub: stub.ResumeExperiment, output)


@click.command()
@_experiment
@click.argument("percent", type=float)
@_dry_run
@_reason
@_etag
@output_option
def coverage(experiment: str, percent: float, dry_run: bool, reason: str, etag: str, output: str) -> None:
    """Enrol PERCENT of the keys. Raising it moves nobody who is in; a ramp ends by it."""
    request = experiment_pb2.SetCoverageRequest(
        coverage=percent, etag=etag, reason=reason, validate_only=dry_run
    )
    _run(experiment, request, lambda stub: stub.SetCoverage, output)


@click.command()
@_experiment
@click.argument("weights", nargs=-1, required=True, metavar="ARM=PERCENT…")
@_dry_run
@_reason
@_etag
@output_option
def weights(
    experiment: str, weights: tuple[str, ...], dry_run: bool, reason: str, etag: str, output: str
) -> None:
    """Change the weights of all arms, such as `default=20 via-ansible=80`.

    It begins a new phase with a new seed, whose statistics begin at nothing.
    """
    wanted = dict(_weight(each) for each in weights)

    request = experiment_pb2.SetWeightsRequest(
        weights=wanted, etag=etag, reason=reason, validate_only=dry_run
    )
    _run(experiment, request, lambda stub: stub.SetWeights, output)


@click.command()
@_experiment
@click.option("--winner", default="", help="The arm that won. Without one: nobody did.")
@click.option("--promote", is_flag=True, help="Switch the workload's route to the winner's chain.")
@_reason
@_etag
@output_option
def conclude(experiment: str, winner: str, promote: bool, reason: str, etag: str, output: str) -> None:
    """End an experiment. It cannot be begun again."""
    request = experiment_pb2.ConcludeExperimentRequest(
        winner=winner, promote=promote, etag=etag, reason=reason
    )
    _run(experiment, request, lambda stub: stub.ConcludeExperiment, output, tell=_promotion)


@click.command()
@_experiment
@_etag
def delete(experiment: str, etag: str) -> None:
    """Delete a draft, or what is concluded, with what was learned in it."""

    async def work(client: Client) -> None:
        name = experiment_name(experiment)
        request = experiment_pb2.DeleteExperimentRequest(name=name, etag=etag, request_id=new_request_id())
        await client.experiments.DeleteExperiment(request)
        click.echo(f"deleted experiment {short(name)}")

    run(work)


def _weight(text: str) -> tuple[str, float]:
    arm, sign, percent = text.partition("=")
    try:
        return arm, float(percent.removesuffix("%"))
    except ValueError:
        fault = f"“{text}” is no weight; write ARM=PERCENT, such as default=50"
        raise click.BadParameter(fault if sign else f"{fault}, for all arms") from None


def _warming(begun: Experiment) -> None:
    """Say what a start waits for."""
    if told := start_told(begun):
        click.echo(told, err=True)


def _promotion(ended: Experiment) -> None:
    """Say what became of a promotion that was asked for."""
    if ended.conclusion.promotion_fault:
        again = " (it is tried again)" if ended.conclusion.promotion_pending else ""
        click.echo(f"not promoted yet: {ended.conclusion.promotion_fault}{again}", err=True)
    elif ended.conclusion.chain_switch:
        place = ended.conclusion.chain_switch.removeprefix("workloads/").replace("/switches/", "/")
        click.echo(f"promoted: enchain switch show {place}", err=True)


def _run(
    experiment: str,
    request: Request,
    method: "Callable[[experiment_pb2_grpc.ExperimentServiceAsyncStub], Send[Request]]",
    output: str,
    *,
    tell: Callable[[Experiment], None] | None = None,
) -> None:
    """Ask for something of an experiment and print it as it is then."""

    async def work(client: Client) -> None:
        request.name, request.request_id = experiment_name(experiment), new_request_id()
        answer = await method(client.experiments)(request)
        if tell is not None:
            tell(answer)
        if output == "table":
            show([answer], COLUMNS, output)
        else:
            dump(plain(answer), output)

    run(work, output=output)
