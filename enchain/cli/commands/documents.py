"""`enchain get`, `describe` and `delete`: what the control plane and the routers keep, by kind and name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click
from google.protobuf.message import Message

from enchain.chains.errors import NotFoundError
from enchain.cli.commands.engines import describe_engine
from enchain.cli.commands.events import EVENT_COLUMNS, event_name, events_page
from enchain.cli.commands.operations import OPERATION_COLUMNS, RESOURCE_COLUMNS
from enchain.cli.experiment_names import COLUMNS as EXPERIMENT_COLUMNS
from enchain.cli.experiment_names import experiment_name, experiments_page
from enchain.cli.output import age, dump, enum_word, last, output_option, plain, show
from enchain.cli.running import run
from enchain.client import Client
from enchain.v1 import chain_pb2, engine_pb2, event_pb2, experiment_pb2, workload_pb2


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: how to list, read and delete it, and its columns.

    Attributes:
        columns: What a line of `get` shows.
        every: Answers one page: the things, and the token of the next page.
        one: Answers one by the name that people write.
        delete: Deletes one; None where deleting is not a person's business.
        describe: Prints one, in a form; None where it is merely dumped.
    """

    columns: Mapping[str, Callable[[Any], Any]]
    every: Callable[[Client, str], Awaitable[tuple[list[Message], str]]]
    one: Callable[[Client, str], Awaitable[Message]]
    delete: Callable[[Client, str], Awaitable[Any]] | None = None
    describe: Callable[[Client, str, str], Awaitable[None]] | None = None


class KindChoice(click.Choice[str]):
    """A kind of thing, in the plural or the singular."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Answer the plural."""
        plural = f"{value}s"
        return super().convert(plural if plural in self.choices else value, param, ctx)


async def _workloads(client: Client, token: str) -> tuple[list[Message], str]:
    page = await client.workloads.ListWorkloads(workload_pb2.ListWorkloadsRequest(page_token=token))
    return list(page.workloads), page.next_page_token


async def _chains(client: Client, token: str) -> tuple[list[Message], str]:
    page = await client.chains.ListChains(chain_pb2.ListChainsRequest(parent="workloads/-", page_token=token))
    return list(page.chains), page.next_page_token


async def _routes(client: Client, token: str) -> tuple[list[Message], str]:
    workloads, following = await _workloads(client, token)
    names = [f"{workload.name}/route" for workload in workloads]  # type: ignore[attr-defined]  # workloads
    return [await client.chains.GetRoute(chain_pb2.GetRouteRequest(name=n)) for n in names], following


async def _engines(client: Client, token: str) -> tuple[list[Message], str]:
    page = await client.engines.ListEngines(engine_pb2.ListEnginesRequest(page_token=token))
    return list(page.engines), page.next_page_token


async def _instances(client: Client, token: str) -> tuple[list[Message], str]:
    page = await client.engines.ListEngineInstances(
        engine_pb2.ListEngineInstancesRequest(parent="engines/-", page_token=token)
    )
    return list(page.engine_instances), page.next_page_token


async def _instance(client: Client, name: str) -> Message:
    token = ""
    while True:
        found, token = await _instances(client, token)
        for item in found:
            if last(item.name) == last(name):  # type: ignore[attr-defined]  # instances
                return item
        if not token:
            raise NotFoundError(
                f"no instance {name} is registered",
                reason="INSTANCE_NOT_FOUND",
                remedy="List them: enchain get instances.",
            )


async def _operations(client: Client, _: str) -> tuple[list[Message], str]:
    return [item async for item in client.list_operations()], ""


async def _resources(client: Client, _: str) -> tuple[list[Message], str]:
    return [item async for item in client.list_resources()], ""


def _chain_name(name: str) -> str:
    workload, slash, chain = name.partition("/")
    if not slash:
        raise click.UsageError("a chain is named WORKLOAD/CHAIN, or WORKLOAD/CHAIN@REVISION.")
    return f"workloads/{workload}/chains/{chain}"


KINDS: dict[str, Kind] = {
    "workloads": Kind(
        {
            "workload": lambda w: last(w.name),
            "steps": lambda w: ",".join(step.name for step in w.steps),
            "engines": lambda w: ",".join(sorted({i.engine for s in w.steps for i in s.implementations})),
            "age": lambda w: age(w.create_time),
        },
        _workloads,
        lambda c, n: c.workloads.GetWorkload(workload_pb2.GetWorkloadRequest(name=f"workloads/{n}")),
        lambda c, n: c.workloads.DeleteWorkload(workload_pb2.DeleteWorkloadRequest(name=f"workloads/{n}")),
    ),
    "chains": Kind(
        {
            "chain": lambda c: c.name.removeprefix("workloads/").replace("/chains/", "/"),
            "steps": lambda c: ", ".join(f"{'+'.join(s.steps)}: {s.engine} {s.version}" for s in c.steps),
            "age": lambda c: age(c.create_time),
        },
        _chains,
        lambda c, n: c.chains.GetChain(chain_pb2.GetChainRequest(name=_chain_name(n))),
        lambda c, n: c.chains.DeleteChain(chain_pb2.DeleteChainRequest(name=_chain_name(n))),
    ),
    "routes": Kind(
        {
            "workload": lambda r: r.name.split("/")[1],
            "shares": lambda r: ", ".join(f"{s.start}-{s.end - 1}: {last(s.chain)}" for s in r.shares),
            "pinned": lambda r: (r.pin.reason or "yes") if r.HasField("pin") else "-",
            "age": lambda r: age(r.update_time),
        },
        _routes,
        lambda c, n: c.chains.GetRoute(chain_pb2.GetRouteRequest(name=f"workloads/{n}/route")),
    ),
    "engines": Kind(
        {
            "engine": lambda e: last(e.name),
            "versions": lambda e: ",".join(sorted({i.version for i in e.instances})) or "-",
            "instances": lambda e: len(e.instances),
            "tool": lambda e: ",".join(sorted({i.tool for i in e.instances})),
        },
        _engines,
        lambda c, n: c.engines.GetEngine(engine_pb2.GetEngineRequest(name=f"engines/{n}")),
        lambda c, n: c.engines.DeleteEngine(engine_pb2.DeleteEngineRequest(name=f"engines/{n}")),
        describe_engine,
    ),
    "instances": Kind(
        {
            "instance": lambda i: last(i.name),
            "engine": lambda i: f"{i.engine} {i.version}",
            "state": lambda i: enum_word(engine_pb2.EngineInstance.State, i.state, "STATE_"),
            "address": lambda i: i.address,
            "scope": lambda i: i.scope,
            "age": lambda i: age(i.start_time),
        },
        _instances,
        _instance,
    ),
    "events": Kind(
        EVENT_COLUMNS,
        lambda c, token: events_page(c, "-", token),
        lambda c, n: c.events.GetPlannedEvent(event_pb2.GetPlannedEventRequest(name=event_name(n))),
        lambda c, n: c.events.DeletePlannedEvent(event_pb2.DeletePlannedEventRequest(name=event_name(n))),
    ),
    "experiments": Kind(
        EXPERIMENT_COLUMNS,
        lambda c, token: experiments_page(c, "-", token),
        lambda c, n: c.experiments.GetExperiment(
            experiment_pb2.GetExperimentRequest(name=experiment_name(n))
        ),
        lambda c, n: c.experiments.DeleteExperiment(
            experiment_pb2.DeleteExperimentRequest(name=experiment_name(n))
        ),
    ),
    "operations": Kind(OPERATION_COLUMNS, _operations, lambda c, n: c.get_operation(n)),
    "resources": Kind(RESOURCE_COLUMNS, _resources, lambda c, n: c.get_resource(n)),
}

_kind = click.argument("kind", type=KindChoice(list(KINDS)), metavar="KIND")
_EPILOG = f"KIND is one of {', '.join(KINDS)}."


@click.command(epilog=_EPILOG)
@_kind
@click.argument("name", required=False)
@output_option
def get(kind: str, name: str | None, output: str) -> None:
    """List things of KIND, or show the one of NAME in a line. What belongs to a workload is WORKLOAD/NAME."""

    async def work(client: Client) -> None:
        about = KINDS[kind]
        found: list[Message] = []
        if name:
            found.append(await about.one(client, name))
        else:
            page, token = await about.every(client, "")
            found.extend(page)
            while token:
                page, token = await about.every(client, token)
                found.extend(page)
        show(found, about.columns, output)

    run(work, output=output)


@click.command(epilog=_EPILOG)
@_kind
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Choice(["table", "yaml", "json"]),
    help="How to print it. Default: tables for engines, YAML for all else.",
)  # fmt: skip
def describe(kind: str, name: str, output: str | None) -> None:
    """Show the thing of KIND called NAME whole; an engine with its pools and what it was measured to do."""
    about = KINDS[kind]
    form = output or ("table" if about.describe is not None else "yaml")

    async def work(client: Client) -> None:
        if about.describe is not None:
            await about.describe(client, name, form)
        elif form == "table":
            show([await about.one(client, name)], about.columns, form)
        else:
            dump(plain(await about.one(client, name)), form)

    run(work, output=form)


@click.command()
@click.argument("kind", type=KindChoice([name for name, about in KINDS.items() if about.delete]))
@click.argument("name")
def delete(kind: str, name: str) -> None:
    """Delete the document of KIND called NAME. Refused while something needs it."""

    async def work(client: Client) -> None:
        erase = KINDS[kind].delete
        assert erase is not None
        await erase(client, name)
        click.echo(f"deleted {kind[:-1]} {name}")

    run(work)
