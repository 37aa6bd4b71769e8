"""`enchain describe engine NAME`: its instances, its pools, and what it was measured to do."""

import click

from enchain.cli.commands.pools import POOL_COLUMNS
from enchain.cli.output import age, dump, enum_word, last, plain, show, table
from enchain.cli.profiles import HEADINGS, profile_rows, profile_words
from enchain.client import Client
from enchain.v1 import engine_pb2, pool_pb2, profile_pb2

INSTANCE_COLUMNS = {
    "instance": lambda i: last(i.name),
    "version": lambda i: i.version,
    "state": lambda i: enum_word(engine_pb2.EngineInstance.State, i.state, "STATE_"),
    "at once": lambda i: i.capacity,
    "scope": lambda i: i.scope,
    "tool": lambda i: i.tool,
    "age": lambda i: age(i.start_time),
}


async def describe_engine(client: Client, name: str, output: str) -> None:
    """Print an engine: for programs whole, for people as tables and words."""
    engine = await client.engines.GetEngine(engine_pb2.GetEngineRequest(name=f"engines/{name}"))
    pools = await _pools(client, name)
    profiles = await _profiles(client, name)
    if output != "table":
        more = {
            "pools": [plain(pool) for pool in pools],
            "performance_profiles": [plain(profile) for profile in profiles],
        }
        dump(plain(engine) | more, output)
        return
    click.echo(f"engine {name}{f': {engine.description}' if engine.description else ''}")
    if engine.launch.process:
        click.echo(f"launched by: {' '.join(engine.launch.process)}")
    _section(f"{len(engine.instances)} instances" if engine.instances else "no instance runs now")
    if engine.instances:
        show(list(engine.instances), INSTANCE_COLUMNS, output)
    if pools:
        _section("pools")
        show(pools, POOL_COLUMNS, output)
    _section("measured" if profiles else "nothing measured yet: operations count once they have ended")
    if profiles:
        table(profile_rows(profiles), HEADINGS)
    words = profile_words(profiles)
    if words:
        click.echo()
    for line in words:
        click.echo(line)


def _section(title: str) -> None:
    click.echo()
    click.echo(title)


async def _pools(client: Client, engine: str) -> list[pool_pb2.Pool]:
    found: list[pool_pb2.Pool] = []
    token, more = "", True
    while more:
        request = pool_pb2.ListPoolsRequest(parent=f"engines/{engine}", page_token=token)
        page = await client.pools.ListPools(request)
        found.extend(page.pools)
        token = page.next_page_token
        more = bool(token)
    return found


async def _profiles(client: Client, engine: str) -> list[profile_pb2.PerformanceProfile]:
    found: list[profile_pb2.PerformanceProfile] = []
    token, more = "", True
    while more:
        request = engine_pb2.ListPerformanceProfilesRequest(
            parent="workloads/-", engine=engine, page_token=token
        )
        page = await client.engines.ListPerformanceProfiles(request)
        found.extend(page.performance_profiles)
        token = page.next_page_token
        more = bool(token)
    return found
