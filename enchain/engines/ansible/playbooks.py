"""Which playbooks a folder holds, and what the inputs may say about them. The engine calls it.

File names come from people: one that leaves the folder, by `..` or by a link, is refused. So are variables
that would steer Ansible itself, such as `ansible_connection`. Nothing is run.
"""

import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enchain.chains.values import Json, SecretRef
from enchain.sdk.keeping import inside
from enchain.sdk.port import Finding
from enchain.sdk.references import Place, references, without_references
from enchain.v1 import diagnostic_pb2

MAINS = ("site.yml", "site.yaml", "main.yml", "main.yaml", "playbook.yml", "playbook.yaml")
DESTROYS = ("destroy.yml", "destroy.yaml")
NONE = "none"
"""Said as `destroy`: there is nothing to undo."""
VARIABLES_MAX = 256
SECRETS_MAX = 64

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_STEERING = ("ansible_", "enchain_", "inventory_", "_")
_MAGIC = frozenset(
    {"environment", "group_names", "groups", "hostvars", "item", "omit", "play_hosts", "playbook_dir", "vars"}
    | {"delegated_vars", "lookup", "q", "query", "role_name", "role_names", "role_path", "undef", "undefined"}
    | {"cycler", "dict", "joiner", "lipsum", "namespace", "now", "range"}
)

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        main: The playbook's file within its folder.
        destroy: The playbook that undoes it, or `none`.
        inventory: The inventory's file within the folder; empty for this host.
        variables: `with`, with null where a secret stands.
        secrets: References to secrets, by their place in `variables`.
    """

    main: str
    destroy: str
    inventory: str
    variables: Mapping[str, Json]
    secrets: Mapping[Place, SecretRef]


def read_asked(inputs: Mapping[str, Json], folder: Path) -> Asked:
    """Read checked inputs, whose holes are filled."""
    given = inputs.get("with") or {}
    return Asked(
        main=inputs.get("main") or default_main(folder),
        destroy=inputs.get("destroy") or default_destroy(folder),
        inventory=inputs.get("inventory") or "",
        variables=without_references(given),
        secrets=dict(references(given)),
    )


def default_main(folder: Path) -> str:
    """Name the playbook of a folder: by its usual name, or as the only one. Empty where that is unclear."""
    for name in MAINS:
        if inside(folder, name):
            return name
    files = [path.name for path in folder.glob("*.y*ml") if path.name not in DESTROYS and path.is_file()]
    return files[0] if len(files) == 1 else ""


def default_destroy(folder: Path) -> str:
    """Name the playbook that undoes; empty where there is none of its usual name."""
    return next((name for name in DESTROYS if inside(folder, name)), "")


def inputs_schema(folder: Path) -> Schema:
    """Answer the JSON Schema of the inputs beside the folder. What its files leave unclear is required."""
    files = {
        "main": "The playbook, a file of the folder.",
        "destroy": f"The playbook that undoes it, or {NONE!r} where there is nothing to undo.",
        "inventory": "The inventory, a file of the folder. Default: the engine's own host.",
    }
    required = [] if default_main(folder) else ["main"]
    required += [] if default_destroy(folder) else ["destroy"]
    return {
        "type": "object",
        "properties": {
            **{name: {"type": "string", "description": text} for name, text in files.items()},
            "with": {"type": "object", "description": "The playbook's variables."},
        },
        "required": required,
        "additionalProperties": False,
    }


def faults(asked: Asked, folder: Path) -> list[Finding]:
    """Find what cannot be run."""
    return [*_file_faults(asked, folder), *_variable_faults(asked)]


def _file_faults(asked: Asked, folder: Path) -> Iterator[Finding]:
    yield from _file_fault("main", asked.main, folder, "PLAYBOOK_MISSING")
    if not asked.destroy:
        yield _fault(
            "destroy",
            "this playbook cannot be undone: its folder has no destroy.yml",
            f"Add a destroy.yml, or name another playbook, or say `destroy: {NONE}`.",
            "DESTROY_MISSING",
        )
    elif asked.destroy != NONE:
        yield from _file_fault("destroy", asked.destroy, folder, "DESTROY_MISSING")
    if asked.inventory:
        yield from _file_fault("inventory", asked.inventory, folder, "INVENTORY_MISSING")


def _file_fault(place: str, name: str, folder: Path, code: str) -> Iterator[Finding]:
    if "," in name or inside(folder, name) is None:
        yield _fault(
            place, f"the folder has no file {name!r}", f"Name a file of the folder as `{place}`.", code
        )


def _variable_faults(asked: Asked) -> Iterator[Finding]:
    if len(asked.variables) > VARIABLES_MAX:
        yield _fault("with", f"there are at most {VARIABLES_MAX} variables", "Pass fewer variables.")
    if len(asked.secrets) > SECRETS_MAX:
        yield _fault("with", f"there are at most {SECRETS_MAX} secrets", "Pass fewer secrets.")
    for name in list(asked.variables)[:VARIABLES_MAX]:
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            yield _fault(
                f"with.{name[:60]}",
                f"{name[:60]!r} is no name for a variable",
                "Use letters, digits and `_`.",
            )
        elif name.lower().startswith(_STEERING) or name in _MAGIC:
            yield _fault(
                f"with.{name}",
                f"the variable {name!r} would steer Ansible itself",
                "Set it in the playbook or the inventory, or choose another name.",
                "VARIABLE_RESERVED",
            )


def _fault(place: str, summary: str, remedy: str, code: str = "INVALID_INPUT") -> Finding:
    audience = diagnostic_pb2.AUDIENCE_PLATFORM
    return Finding(summary, code=code, path=f"inputs.{place}", remedy=remedy, audience=audience)
