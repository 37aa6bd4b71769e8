"""`--attribute`: what a request would be, for commands that ask which chain or arm it would get.

It writes no request: what is not said is empty, but for the tenant, which is the client's.
"""

from collections.abc import Sequence

import click

from enchain.chains.units import INPUTS, Attributes
from enchain.chains.values import to_value_map
from enchain.cli.inputs import gather
from enchain.client import Client

TEXTS = ("tenant", "requester", "region", "zone", "account", "host")
GROUPS = "groups"

attribute_option = click.option(
    "-a",
    "--attribute",
    "pairs",
    multiple=True,
    metavar="NAME=TEXT|NAME:=JSON",
    help="What the request would be, so that eligibility is asked: `region=eu`, `groups=qa`, "
    "`inputs.count:=3`. Repeat it for more.",
)


def attributes_from(pairs: Sequence[str], client: Client) -> Attributes | None:
    """Put together what was said of a request; None where nothing was.

    Raises:
        click.UsageError: A pair is malformed, or no request has such an attribute.
        InvalidArgumentError: An input is no value.
    """
    if not pairs:
        return None
    said = [item for pair in pairs for item in gather((pair,), None).items()]
    texts = {name: _text(name, value) for name, value in said if not name.startswith(INPUTS)}
    groups = [_text(name, value) for name, value in said if name == GROUPS]
    inputs = {name.removeprefix(INPUTS): value for name, value in said if name.startswith(INPUTS)}
    texts.pop(GROUPS, None)
    texts.setdefault("tenant", client.parent.removeprefix("tenants/"))
    return Attributes(**texts, groups=groups, inputs=to_value_map(inputs))


def _text(name: str, value: object) -> str:
    if name not in (*TEXTS, GROUPS):
        told = f"`{name}` is no attribute; there are {', '.join(TEXTS)}, {GROUPS} and {INPUTS}NAME."
        raise click.UsageError(told)
    if not isinstance(value, str):
        raise click.UsageError(f"`{name}` is text; write {name}=TEXT.")
    return value
