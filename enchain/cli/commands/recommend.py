"""`enchain recommend` and `enchain recommendations`: which chain and how many instances, and why."""

from pathlib import Path

import click

from enchain.cli import exits
from enchain.cli.modules import run_module
from enchain.cli.output import dump, output_option, plain, table
from enchain.cli.recommendations import (
    LIST_COLUMNS,
    RIVAL_COLUMNS,
    Recommendation,
    asks,
    lines,
    list_rows,
    rival_rows,
    state_word,
)
from enchain.cli.running import run
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import recommendation_pb2

OFFLINE = "controlplane.offline"

_reason = click.option("--reason", default="", help="Why; it is kept in the audit.")
_etag = click.option("--etag", default="", help="Only if it is still as read.")


def _name(name: str) -> str:
    """Answer the full name of WORKLOAD/ID; of WORKLOAD alone, its newest."""
    workload, _, identifier = name.partition("/")
    return f"workloads/{workload}/recommendations/{identifier or '-'}"


def _print(recommendation: Recommendation, output: str) -> None:
    if output != "table":
        dump(plain(recommendation), output)
        return
    for line in lines(recommendation):
        click.echo(line)
    if rows := rival_rows(recommendation):
        click.echo()
        table(rows, RIVAL_COLUMNS)
    if recommendation.state == Recommendation.STATE_OPEN and recommendation.name and asks(recommendation):
        short = recommendation.name.removeprefix("workloads/").replace("/recommendations/", "/")
        click.echo(f"\nopen: enchain recommendations approve {short}, or reject it")


@click.command()
@click.argument("workload", required=False)
@click.option("--dry-run", is_flag=True, help="Plan and show; keep nothing.")
@click.option(
    "--from", "metrics", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="METRICS.csv",
    help="Plan offline from measured demand, before anything is installed; needs --workload.",
)  # fmt: skip
@click.option(
    "--workload", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Offline: documents of the workload and its engines.",
)  # fmt: skip
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Offline: draw it as well.")
@output_option
def recommend(
    workload: str | None,
    dry_run: bool,
    metrics: Path | None,
    file: Path | None,
    png: Path | None,
    output: str,
) -> None:
    """Plan for WORKLOAD now: the chain, its rivals and the reasons, in plain words."""
    if metrics is not None or file is not None:
        _offline(metrics, file, png, output)
    if workload is None:
        raise click.UsageError("name a workload, or give --from and --workload.")

    async def work(client: Client) -> int:
        request = recommendation_pb2.GenerateRecommendationRequest(
            parent=f"workloads/{workload}", validate_only=dry_run, request_id=new_request_id()
        )
        answer = await client.recommendations.GenerateRecommendation(request)
        _print(answer, output)
        return exits.OK if answer.chosen.feasible else exits.FAILED

    run(work, output=output)


def _offline(metrics: Path | None, file: Path | None, png: Path | None, output: str) -> None:
    """Hand over to the planner in a process of its own, which needs more than a client has."""
    if metrics is None or file is None:
        raise click.UsageError("offline planning needs both --from METRICS.csv and --workload FILE.")
    arguments = ["--from", str(metrics), "--workload", str(file), "--output", output]
    run_module(OFFLINE, [*arguments, *(("--png", str(png)) if png else ())], extra="forecasting")


@click.group()
def recommendations() -> None:
    """Look at recommendations, decide on them, and plan them once more.

    A recommendation is named WORKLOAD/ID; WORKLOAD alone means its newest.
    """


@recommendations.command("list")
@click.argument("workload", default="-")
@output_option
def list_recommendations(workload: str, output: str) -> None:
    """List the recommendations of WORKLOAD, or of all, newest first."""

    async def work(client: Client) -> None:
        found: list[Recommendation] = []
        token = ""
        while True:
            page = await client.recommendations.ListRecommendations(
                recommendation_pb2.ListRecommendationsRequest(
                    parent=f"workloads/{workload}", page_token=token
                )
            )
            found += page.recommendations
            token = page.next_page_token
            if not token:
                break
        if output == "table":
            table(list_rows(found), LIST_COLUMNS)
        else:
            dump([plain(each) for each in found], output)

    run(work, output=output)


@recommendations.command()
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one whole: the chain, its rivals, the reasons."""

    async def work(client: Client) -> None:
        request = recommendation_pb2.GetRecommendationRequest(name=_name(name))
        _print(await client.recommendations.GetRecommendation(request), output)

    run(work, output=output)


@recommendations.command()
@click.argument("name")
@_reason
@_etag
@output_option
def approve(name: str, reason: str, etag: str, output: str) -> None:
    """Let one be carried out: a switch, pool targets, or both."""

    async def work(client: Client) -> None:
        answer = await client.recommendations.ApproveRecommendation(
            recommendation_pb2.ApproveRecommendationRequest(
                name=_name(name), etag=etag, reason=reason, request_id=new_request_id()
            )
        )
        _decided(answer, output)

    run(work, output=output)


@recommendations.command()
@click.argument("name")
@_reason
@_etag
@output_option
def reject(name: str, reason: str, etag: str, output: str) -> None:
    """Say no. The same chain is not proposed again for a day."""

    async def work(client: Client) -> None:
        answer = await client.recommendations.RejectRecommendation(
            recommendation_pb2.RejectRecommendationRequest(
                name=_name(name), etag=etag, reason=reason, request_id=new_request_id()
            )
        )
        _decided(answer, output)

    run(work, output=output)


def _decided(answer: Recommendation, output: str) -> None:
    if output == "table":
        click.echo(f"{state_word(answer)}: {answer.name}")
    else:
        dump(plain(answer), output)


@recommendations.command()
@click.argument("name")
@output_option
def replay(name: str, output: str) -> None:
    """Plan one once more from the inputs that were kept; exit code 1 where the answer is another."""

    async def work(client: Client) -> int:
        answer = await client.recommendations.ReplayRecommendation(
            recommendation_pb2.ReplayRecommendationRequest(name=_name(name))
        )
        if output != "table":
            dump(plain(answer), output)
        elif answer.same:
            click.echo(f"the same again, from inputs {answer.recommendation.input_digest}")
        else:
            click.echo(f"another answer; what differs: {', '.join(answer.differences)}")
            _print(answer.recommendation, output)
        return exits.OK if answer.same else exits.FAILED

    run(work, output=output)
