"""Outputs and planned changes, as the port wants them. `engine.py` calls it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enchain.engines.terraform.commands import Commands
from enchain.engines.terraform.events import Reading
from enchain.sdk.port import Json, PlannedStep
from enchain.terraform_modules.module import Module
from enchain.v1.provisioning_pb2 import PlannedChange


async def outputs_of(commands: Commands, module: Module) -> dict[str, Json]:
    """Answer the outputs; Terraform leaves out those that are null."""
    shown = json.loads(await commands.look(commands.work.module, "output", "-json"))
    return {name: shown[name]["value"] if name in shown else None for name in module.outputs}


async def known_outputs(commands: Commands, directory: Path, plan: Path) -> dict[str, Json]:
    """Answer the outputs that a plan knows already, without the sensitive ones."""
    shown: dict[str, Any] = json.loads(await commands.look(directory, "show", "-json", str(plan)))
    changes = shown.get("output_changes") or {}
    return {
        name: change["after"]
        for name, change in changes.items()
        if change.get("after_unknown") is False and change.get("after_sensitive") is False
    }


def output_changes(reading: Reading) -> list[PlannedChange]:
    """Answer the outputs that a refresh found changed."""
    return [
        PlannedChange(action=PlannedChange.ACTION_UPDATE, address=f"output.{name}", detail=action)
        for name, action in sorted(reading.output_actions.items())
        if action != "noop"
    ]


def planned_step(reading: Reading, outputs: Mapping[str, Json], digest: str) -> PlannedStep:
    """Answer a plan, kept under its digest."""
    summary = reading.summary or "no changes"
    return PlannedStep(changes=reading.changes, outputs=outputs, digest=digest, summary=summary)
