"""What is run: the inputs read into a `Command`, and its files found in the bundle. The engine calls it.

The words of a command may come from people, so none is ever more than an argument: no shell reads it, and a
path that leaves the bundle, by `..` or by a link, is refused.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enchain.chains.values import Json, SecretRef
from enchain.engines.script.manifest import Manifest
from enchain.sdk.keeping import inside
from enchain.sdk.port import Finding
from enchain.sdk.references import Place, references, without_references

WORD_BYTES_MAX = 32 * 1024
SECRETS_MAX = 64
_HERE = "./"


@dataclass(frozen=True, slots=True)
class Command:
    """What a script is asked with.

    Attributes:
        run: The command as people wrote it.
        inputs: `with`, with null where a secret stands.
        secrets: References to secrets, by their place in `inputs`.
    """

    run: tuple[str, ...]
    inputs: Mapping[str, Json]
    secrets: Mapping[Place, SecretRef]


def read_command(inputs: Mapping[str, Json], manifest: Manifest) -> Command:
    """Read checked inputs, whose holes are filled."""
    given = inputs.get("with") or {}
    return Command(
        run=tuple(str(word) for word in inputs.get("run") or manifest.run),
        inputs=without_references(given),
        secrets=dict(references(given)),
    )


def variable_of(place: Place) -> str:
    """Name the environment variable that carries the secret at a place."""
    return "SECRET_" + "_".join(re.sub(r"[^A-Za-z0-9]", "_", str(part)).upper() for part in place)


def faults(inputs: Mapping[str, Json], manifest: Manifest) -> list[Finding]:
    """Find what the schema cannot say."""
    return [*_run_faults(inputs.get("run") or manifest.run), *_secret_faults(inputs.get("with") or {})]


def _run_faults(run: Sequence[Json]) -> Iterator[Finding]:
    for index, word in enumerate(run):
        if isinstance(word, SecretRef):
            yield _fault(
                f"run[{index}]",
                "a secret may not be an argument: every user of the machine can read it",
                "Pass it in `with`.",
            )
        elif isinstance(word, str) and ("\0" in word or len(word.encode()) > WORD_BYTES_MAX):
            yield _fault(
                f"run[{index}]",
                f"a word has no zero character and at most {WORD_BYTES_MAX} bytes",
                "Pass large values in `with`.",
            )


def _secret_faults(given: Json) -> Iterator[Finding]:
    places: dict[str, Place] = {}
    for place, _ in references(given):
        name = variable_of(place)
        if name in places:
            yield _fault(
                f"with.{'.'.join(map(str, place))}",
                f"its variable {name} is that of another secret too",
                "Rename one of them.",
            )
        places[name] = place
    if len(places) > SECRETS_MAX:
        yield _fault("with", f"there are at most {SECRETS_MAX} secrets", "Pass fewer secrets.")


def resolve(run: Sequence[str], bundle: Path | None) -> list[str] | Finding:
    """Answer the command with its files found, or why it cannot be run."""
    if not run or not run[0]:
        return _fault("run", "there is no command", "Name one as `run`, here or in the manifest.")
    words = []
    for index, word in enumerate(run):
        if word.startswith(_HERE) or (index == 0 and "/" in word):
            found = inside(bundle, word) if bundle is not None else None
            if found is None:
                return _fault(
                    f"run[{index}]",
                    f"the bundle has no file {word!r}",
                    "Name a file of the bundle, such as `./provision.sh`, or a program on PATH.",
                    code="RUN_NOT_IN_BUNDLE",
                )
            words.append(str(found))
        else:
            words.append(word)
    return _executable(run[0], words)


def _executable(said: str, words: list[str]) -> list[str] | Finding:
    if "/" not in said:
        found = shutil.which(said, path=os.environ.get("PATH", os.defpath))
        if found is None:
            return _fault(
                "run[0]",
                f"there is no program {said!r} on the engine's PATH",
                "Install it where the engine runs, or put it into the bundle.",
                code="RUN_NOT_ON_PATH",
            )
        return [found, *words[1:]]
    if not os.access(words[0], os.X_OK):
        return _fault(
            "run[0]",
            f"{said!r} is not executable",
            "Make it executable (chmod +x) and save the workload again, or name its interpreter first.",
            code="RUN_NOT_EXECUTABLE",
        )
    return words


def _fault(place: str, summary: str, remedy: str, *, code: str = "INVALID_INPUT") -> Finding:
    return Finding(summary, code=code, path=f"inputs.{place}", remedy=remedy)
