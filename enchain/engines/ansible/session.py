"""Runs ansible-playbook once, from its spec to what it told. The engine calls it.

Why not by ansible-runner: it starts ansible-playbook in a session of its own without handing the lock on, so
that the playbook goes on, unlocked, when its runner is killed; and it writes the environment, secrets among
it, to a file.

    <Step.directory>/exchange/<run>.json     the spec, mode 0600, without secrets
                     inventory.json          this host, where the step names no inventory
                     work/                   the playbook's own, its `enchain_directory` and working directory
                     home/                   HOME of the playbook: Ansible's caches and temporary files
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enchain.engines.ansible import callbacks, play
from enchain.engines.ansible.events import Reading, Told
from enchain.engines.ansible.playbooks import Asked
from enchain.sdk import courier
from enchain.sdk.port import Finding, Step, StepFailedError
from enchain.sdk.scope import PRIVATE_DIRECTORY, write_whole

FORKS = 5
"""Hosts at once; each is a process."""
SECRETS_BYTES_MAX = 100_000
"""The kernel takes 128 KiB for one variable of the environment."""


@dataclass(frozen=True, slots=True)
class Play:
    """A run of one playbook.

    Attributes:
        verb: What the playbook sees as `enchain_verb`: `apply`, `update` or `destroy`.
        file: The playbook's file within the folder.
        folder: Where the folder lies.
        asked: With what.
        check: Change nothing, only look.
    """

    verb: str
    file: str
    folder: Path
    asked: Asked
    check: bool = False


async def run_play(step: Step, run: str, what: Play) -> Reading:
    """Run a playbook under the run's name, or join it, telling what goes on, until it has ended well.

    Raises:
        StepFailedError: It failed.
    """
    secret_env = await _secret_environment(step, what.asked)
    spec = await asyncio.to_thread(_prepare, step, run, what)
    tool = await step.run(
        run,
        courier.command([sys.executable, "-I", "-S", play.__file__, str(spec)]),
        cwd=_own(step),
        secret_env=secret_env,
    )
    reading = Reading(what.folder)
    async for line in tool.lines():
        _tell(step, reading.feed(*courier.parse(line)), check=what.check)
    ended = await tool.wait()
    if failure := reading.failure(ended.returncode):
        raise failure
    return reading


def _tell(step: Step, told: Told, *, check: bool) -> None:
    if told.progress is not None:
        message, fraction = told.progress
        step.progress(f"checking {message}" if check else message, fraction)
    if told.log:
        step.log(told.log)


async def _secret_environment(step: Step, asked: Asked) -> dict[str, str]:
    found = [await step.secrets.resolve(ref, tenant=step.tenant) for ref in asked.secrets.values()]
    text = json.dumps(found)
    if len(text) > SECRETS_BYTES_MAX:
        raise StepFailedError(
            Finding(
                f"the secrets take more than {SECRETS_BYTES_MAX} bytes",
                code="SECRET_UNUSABLE",
                path="inputs.with",
                remedy="Pass where they lie.",
            ),
            left_behind=False,
        )
    return {play.SECRETS: text} if found else {}


def _prepare(step: Step, run: str, what: Play) -> Path:
    home = step.directory / "home"
    home.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    (home / "ansible.cfg").touch()  # empty: else Ansible looks for one of the host's
    spec = step.directory / "exchange" / f"{run}.json"
    inventory = what.folder / what.asked.inventory
    if not what.asked.inventory:
        inventory = step.directory / "inventory.json"
        write_whole(inventory, json.dumps(this_host()).encode())
    said = {
        "python": sys.executable,
        "playbook": str(what.folder / what.file),
        "inventory": str(inventory),
        "forks": FORKS,
        "check": what.check,
        "variables": {
            **what.asked.variables,
            "enchain_verb": what.verb,
            "enchain_work_id": step.work_id,
            "enchain_directory": str(_own(step)),
        },
        "secrets": [list(place) for place in what.asked.secrets],
        "environment": settings(home, what.folder),
    }
    write_whole(spec, json.dumps(said).encode())
    return spec


def _own(step: Step) -> Path:
    """Answer the directory that the playbook may use; it is there until all is destroyed."""
    own = step.directory / "work"
    own.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    return own


def this_host() -> dict[str, Any]:
    """Answer the inventory with the engine's own host alone."""
    said = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    return {"all": {"hosts": {"localhost": said}}}


def settings(home: Path, folder: Path) -> Mapping[str, str]:
    """Answer the variables that steer Ansible as this engine wants it; no configuration file is read."""
    return {
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "1",
        "ANSIBLE_ROLES_PATH": str(folder / "roles"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(callbacks.__file__).parent),
        "ANSIBLE_STDOUT_CALLBACK": "enchain_events",
        "ANSIBLE_PIPELINING": "1",  # modules, with their arguments, are never written to a disk
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_ACTION_WARNINGS": "0",
    }
