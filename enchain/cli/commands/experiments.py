"""`enchain experiments`: the group. Its commands are imported when they are called."""

import click

from enchain.cli.groups import TableGroup

_READING = "enchain.cli.commands.experiment_reading"
_ACTING = "enchain.cli.commands.experiment_acting"

COMMANDS = {
    "assign": (f"{_READING}:assign", "Say which arm a key gets, and why."),
    "conclude": (f"{_ACTING}:conclude", "End an experiment, with a winner or without."),
    "coverage": (f"{_ACTING}:coverage", "Set the share of keys that is enrolled."),
    "delete": (f"{_ACTING}:delete", "Delete a draft, or what is concluded."),
    "describe": (f"{_READING}:describe", "Show an experiment whole, with its history."),
    "list": (f"{_READING}:list_experiments", "List experiments."),
    "pause": (f"{_ACTING}:pause", "Enrol nobody new."),
    "resume": (f"{_ACTING}:resume", "Enrol again, in the same phase."),
    "show": ("enchain.cli.commands.experiment_show:show_analysis", "Show what is known, and what to do."),
    "start": (f"{_ACTING}:start", "Start a draft."),
    "weights": (f"{_ACTING}:weights", "Change the weights: begins a new phase."),
}


@click.group(cls=TableGroup, table=COMMANDS)
def experiments() -> None:
    """Compare chains of a workload on live requests.

    A document of `kind: Experiment` makes a draft (`enchain apply`); it enrols nobody before it is started.
    """
