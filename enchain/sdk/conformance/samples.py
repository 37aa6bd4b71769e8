"""Suite inputs: what the suite feeds to an engine, read from a YAML or JSON file.

The suite cannot know what an engine takes, so the engine's author writes down a few samples. `main` reads the
file; checks ask for samples by name. `docs/conformance.md` describes the format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from enchain.artifacts.packing import digest_of, pack
from enchain.chains.errors import EnchainError, InvalidArgumentError, Violation
from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText, to_value_map
from enchain.v1 import value_pb2, workload_pb2

NAMES = ("good", "changed", "slow", "failing", "secret", "large_handle", "large_outputs")
"""The samples that a file may hold, each at most once."""

_TOP = frozenset({*NAMES, "step", "artifacts", "witness", "wrong"})
_SAMPLE = frozenset({"inputs", "artifacts", "outputs", "seconds", "value", "path"})
_DIGEST = "sha256:"


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs for one Apply.

    Attributes:
        name: Its name in the file.
        inputs: As plain Python.
        artifacts: Digests by input field.
        outputs: What must be among the outputs; empty where anything goes.
        seconds: How long a slow sample takes at least.
        secret: The secret in plain text, where the inputs refer to one.
        path: For inputs that are wrong: the path of what is wrong with them.
    """

    name: str
    inputs: Mapping[str, Json] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Json] = field(default_factory=dict)
    seconds: float = 0.0
    secret: str = ""
    path: str = ""

    def values(self) -> dict[str, value_pb2.Value]:
        """Answer the inputs as they go over the wire."""
        return to_value_map(self.inputs)

    def refs(self) -> dict[str, workload_pb2.ArtifactRef]:
        """Answer the artifacts as they go over the wire."""
        return {name: workload_pb2.ArtifactRef(digest=digest) for name, digest in self.artifacts.items()}


@dataclass(frozen=True, slots=True)
class SuiteInputs:
    """All samples of one engine.

    Attributes:
        step: The step's name in work ids.
        witness: An output whose value is new whenever the work is really done; empty where there is none.
        samples: By name.
        wrong: Inputs that must be refused.
        packed: Content of the artifacts that were named by directory, by digest.
    """

    step: str = "step"
    witness: str = ""
    samples: Mapping[str, Sample] = field(default_factory=dict)
    wrong: tuple[Sample, ...] = ()
    packed: Mapping[str, bytes] = field(default_factory=dict)


def read_file(path: Path, *, secret: str = "") -> SuiteInputs:
    """Read suite inputs; `secret` takes the place of the secret sample's value.

    Raises:
        InvalidArgumentError: The file cannot be read or is not as it must be.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _wrong(str(path), f"cannot be read: {error}") from error
    try:
        return read(document, directory=path.parent, secret=secret)
    except EnchainError as error:
        error.message = f"{path}: {error.message}"
        raise


def read(document: Any, *, directory: Path = Path(), secret: str = "") -> SuiteInputs:
    """Read suite inputs from a parsed document. Artifacts named by directory are looked for in `directory`.

    Raises:
        InvalidArgumentError: It is not as it must be.
    """
    _check_keys(document, _TOP, "the document")
    reader = _Reader(directory)
    shared = document.get("artifacts") or {}
    samples = {
        name: reader.sample(name, document[name], shared, secret if name == "secret" else "")
        for name in NAMES
        if document.get(name) is not None
    }
    wrong = tuple(
        reader.sample(f"wrong[{index}]", item, shared, "")
        for index, item in enumerate(document.get("wrong") or ())
    )
    if blind := [sample.name for sample in wrong if not sample.path]:
        raise _wrong(f"{blind[0]}.path", "is missing: say which field is wrong")
    if "slow" in samples and samples["slow"].seconds <= 0:
        raise _wrong("slow.seconds", "is missing: say how long it takes at least")
    if "secret" in samples and not samples["secret"].secret:
        raise _wrong("secret.value", "is missing: give it here or as --secret")
    return SuiteInputs(
        step=str(document.get("step", "step")),
        witness=str(document.get("witness", "")),
        samples=samples,
        wrong=wrong,
        packed=reader.packed,
    )


class _Reader:
    """Reads samples and packs the directories that they name, each once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._digests: dict[str, str] = {}
        self.packed: dict[str, bytes] = {}

    def sample(self, name: str, item: Any, shared: Mapping[str, str], secret: str) -> Sample:
        _check_keys(item, _SAMPLE, name)
        artifacts = {**shared, **(item.get("artifacts") or {})}
        sample = Sample(
            name=name,
            inputs=_plain(item.get("inputs") or {}, f"{name}.inputs"),
            artifacts={field: self._digest(text, f"{name}.{field}") for field, text in artifacts.items()},
            outputs=item.get("outputs") or {},
            seconds=float(item.get("seconds", 0)),
            secret=secret or str(item.get("value", "")),
            path=str(item.get("path", "")),
        )
        sample.values()  # what cannot go over the wire is told now
        return sample

    def _digest(self, text: str, where: str) -> str:
        if text.startswith(_DIGEST):
            return text
        if text not in self._digests:
            path = self._directory / text
            if not path.is_dir():
                raise _wrong(where, f"{text!r} is neither a digest nor a directory")
            content = pack(path)
            self._digests[text] = digest_of(content)
            self.packed[self._digests[text]] = content
        return self._digests[text]


def _check_keys(item: Any, known: frozenset[str], where: str) -> None:
    if not isinstance(item, dict):
        raise _wrong(where, "must be a map")
    if unknown := sorted(str(key) for key in item if key not in known):
        raise _wrong(f"{where}.{unknown[0]}", f"is unknown; known are {', '.join(sorted(known))}")


def _plain(item: Any, where: str) -> Json:
    """Turn YAML into values; `{$secret: REF}` and `{$template: [text, {$variable: NAME}]}` have a meaning."""
    match item:
        case {"$secret": str(ref)} if len(item) == 1:
            return SecretRef(ref)
        case {"$template": list(parts)} if len(item) == 1:
            return TemplateText(tuple(_part(part, where) for part in parts))
        case dict():
            return {str(key): _plain(inner, f"{where}.{key}") for key, inner in item.items()}
        case list():
            return [_plain(inner, f"{where}[{index}]") for index, inner in enumerate(item)]
    return item


def _part(part: Any, where: str) -> str | EngineVariable:
    match part:
        case str():
            return part
        case {"$variable": str(name)} if len(part) == 1:
            return EngineVariable(name)
    raise _wrong(where, "a part of a template is a text or {$variable: NAME}")


def _wrong(field: str, description: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{field} {description}",
        reason="INVALID_SUITE_INPUTS",
        violations=[Violation(field, description)],
        remedy="docs/conformance.md describes the format.",
    )
