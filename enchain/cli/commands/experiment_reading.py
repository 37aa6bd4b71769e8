"""`enchain experiments list`, `describe` and `assign`: look at experiments."""

import click

from enchain.chains.units import attributes_message
from enchain.chains.warming import start_told
from enchain.cli.attributes import attribute_option, attributes_from
from enchain.cli.experiment_names import COLUMNS, experiment_name, experiments_page, short, starts
from enchain.cli.experiment_words import why
from enchain.cli.output import dump, enum_word, output_option, plain, show, table
from enchain.cli.running import run
from enchain.client import Client
from enchain.v1 import experiment_pb2

_experiment = click.argument("experiment", metavar="WORKLOAD/EXPERIMENT")


@click.command("list")
@click.argument("workload", default="-")
@output_option
def list_experiments(workload: str, output: str) -> None:
    """List the experiments of WORKLOAD, or of all."""

    async def work(client: Client) -> None:
        found, token = await experiments_page(client, workload, "")
        while token:
            page, token = await experiments_page(client, workload, token)
            found.extend(page)
        show(found, COLUMNS, output)
        if output == "table":
            for told in starts(found):
                click.echo(told)

    run(work, output=output)


@click.command()
@_experiment
@output_option
def describe(experiment: str, output: str) -> None:
    """Show an experiment whole: arms, phases, how it ended, and what was changed by whom."""

    async def work(client: Client) -> None:
        request = experiment_pb2.GetExperimentRequest(name=experiment_name(experiment))
        found = await client.experiments.GetExperiment(request)
        if output == "table":
            _print(found)
        else:
            dump(plain(found), output)

    run(work, output=output)


@click.command()
@_experiment
@click.argument("key")
@attribute_option
@output_option
def assign(experiment: str, key: str, pairs: tuple[str, ...], output: str) -> None:
    """Say which arm KEY gets, and why. Routers give the same answer.

    KEY is the value of the experiment's unit: a resource's id, or what its `unit` says. Whether a request
    is eligible is asked where any of its attributes is said.
    """

    async def work(client: Client) -> None:
        request = experiment_pb2.AssignArmRequest(name=experiment_name(experiment), key=key)
        attributes = attributes_from(pairs, client)
        if attributes is not None:
            request.attributes.CopyFrom(attributes_message(attributes))
        found = await client.experiments.AssignArm(request)
        if output != "table":
            dump(plain(found), output)
            return
        click.echo(f"{found.arm or 'not enrolled'}: {found.description} ({found.reason})")
        click.echo(
            f"  bucket {found.bucket}, phase {found.phase}, seed {found.seed}, hash {found.hash_version}"
        )
        if found.arm:
            click.echo(f"  buckets {found.start} to {found.end - 1} go to {found.chain}")

    run(work, output=output)


def _print(experiment: experiment_pb2.Experiment) -> None:
    state = enum_word(experiment_pb2.Experiment.State, experiment.state, "STATE_")
    click.echo(f"{short(experiment.name)}: {state}, goal {experiment.goal.metric}, unit {experiment.unit}")
    if experiment.description:
        click.echo(f"  {experiment.description}")
    phase = experiment.phases[-1] if experiment.phases else experiment_pb2.Phase()
    click.echo(f"  phase {phase.number}, coverage {phase.coverage:g} %, seed {phase.seed}")
    if experiment.HasField("layer"):
        part = experiment.layer
        click.echo(f"  {part.layer}: {part.start} to {part.end} of 1000")
    if told := start_told(experiment):
        click.echo(f"  {told}")
    if experiment.HasField("conclusion"):
        _print_conclusion(experiment.conclusion)
    click.echo()
    ranges = {part.arm: f"{part.start}-{part.end}" for part in phase.ranges}
    rows = [[arm.name, f"{arm.weight:g} %", ranges.get(arm.name, "-"), arm.chain] for arm in experiment.arms]
    table(rows, ["arm", "weight", "buckets", "chain"])
    click.echo()
    changes = [
        [each.time.ToJsonString(), each.kind.lower(), each.actor.subject or "-", why(each)]
        for each in experiment.history
    ]
    table(changes, ["time", "change", "by", "why"])


def _print_conclusion(conclusion: experiment_pb2.Conclusion) -> None:
    click.echo(f"  {conclusion.reason}, winner {conclusion.winner or 'none'}: {conclusion.description}")
    if conclusion.chain_switch:
        click.echo(f"  promoted by {conclusion.chain_switch}")
    elif conclusion.promotion_fault:
        again = "; it is tried again" if conclusion.promotion_pending else ""
        click.echo(f"  not promoted: {conclusion.promotion_fault}{again}")
