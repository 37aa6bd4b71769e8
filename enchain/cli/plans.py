"""A plan for people: what each step would do, and the command that does exactly that. `plan` calls it."""

import shlex
from collections.abc import Sequence
from datetime import UTC

import click

from enchain.cli.output import enum_word, last
from enchain.v1 import provisioning_pb2

_SIGNS = {
    provisioning_pb2.PlannedChange.ACTION_CREATE: "+",
    provisioning_pb2.PlannedChange.ACTION_UPDATE: "~",
    provisioning_pb2.PlannedChange.ACTION_REPLACE: "±",
    provisioning_pb2.PlannedChange.ACTION_DELETE: "-",
}


def print_plan(answer: provisioning_pb2.PlanResponse, apply: Sequence[str]) -> None:
    """Print a plan.

    Args:
        answer: The plan.
        apply: Words of the command that would apply it, the token left out; empty where none takes one.
    """
    click.echo(f"chain {last(answer.chain)}, bucket {answer.bucket}")
    for step in answer.steps:
        word = enum_word(provisioning_pb2.StepPlan.Outcome, step.outcome, "OUTCOME_")
        click.echo(f"{step.step}: {step.engine}, {word}{': ' + step.summary if step.summary else ''}")
        for change in step.changes:
            detail = f"  {change.detail}" if change.detail else ""
            click.echo(f"  {_SIGNS.get(change.action, ' ')} {change.address}{detail}")
        if step.unknown:
            click.echo(f"  not known yet: {', '.join(step.unknown)}")
    if apply:
        until = answer.expire_time.ToDatetime(UTC).astimezone().strftime("%H:%M:%S")
        click.echo(f"to do exactly this, until {until}:")
        click.echo(f"  enchain {shlex.join(apply)} --plan {answer.plan_token}")
