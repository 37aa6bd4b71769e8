"""Checks of a step's inputs beyond their JSON Schema, and the reading of them into a `Spec`.

Inputs come from people and from the outputs of other engines, so each is taken as hostile: a path that leaves
the directory, a name that is no variable, a NUL byte. Called by the engine before anything is made. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText
from enchain.engines.process.durations import parse_seconds
from enchain.engines.process.schema import FILES_MAX
from enchain.engines.process.spec import Ready, Restart, Spec, Stop
from enchain.sdk.port import Finding

FILES_BYTES_MAX = 1 << 20
ARGUMENT_BYTES_MAX = 128 * 1024
PATH_BYTES_MAX = 512
PATH_DEPTH_MAX = 16

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED_PREFIX = "ENCHAIN_"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_inputs(inputs: Mapping[str, Json]) -> list[Finding]:
    """Answer what is wrong with the inputs; holes may still be in them."""
    return [
        *_check_run(inputs.get("run")),
        *_check_files(inputs.get("files") or {}),
        *_check_env(inputs.get("env") or {}),
        *_check_ready(inputs.get("ready") or {}),
        *_check_durations(inputs),
    ]


def read_spec(inputs: Mapping[str, Json], *, has_port: bool) -> Spec:
    """Answer the service that these inputs ask for. They are checked, and their holes filled.

    Args:
        inputs: The inputs.
        has_port: Whether the service uses a port; filled inputs do not tell any more.
    """
    env: Mapping[str, Json] = inputs.get("env") or {}
    restart, restart_default = inputs.get("restart") or {}, Restart()
    stop, stop_default = inputs.get("stop") or {}, Stop()
    return Spec(
        argv=tuple(_text(argument) for argument in inputs["run"]),
        files={path: _text(content) for path, content in (inputs.get("files") or {}).items()},
        env={name: _text(value) for name, value in env.items() if not isinstance(value, SecretRef)},
        secrets={name: value.ref for name, value in env.items() if isinstance(value, SecretRef)},
        ready=_read_ready(inputs, has_port=has_port),
        restart=Restart(
            policy=restart.get("policy", restart_default.policy),
            max=restart.get("max", restart_default.max),
            backoff_seconds=_seconds(restart.get("backoff"), restart_default.backoff_seconds),
        ),
        stop=Stop(
            signal=stop.get("signal", stop_default.signal),
            within_seconds=_seconds(stop.get("within"), stop_default.within_seconds),
        ),
    )


def path_fault(path: str) -> str:
    """Answer why a path may not be laid down, as a sentence; empty where it may."""
    if not path or _CONTROL.search(path):
        return "A path is not empty and has no control characters."
    if len(path.encode("utf-8", "surrogatepass")) > PATH_BYTES_MAX:
        return f"A path has at most {PATH_BYTES_MAX} bytes."
    if path.startswith("/") or "\\" in path:
        return "A path is relative, with forward slashes."
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "A path has no empty part, no '.' and no '..'."
    if len(parts) > PATH_DEPTH_MAX or any(len(part.encode("utf-8", "replace")) > 255 for part in parts):  # noqa: PLR2004 - NAME_MAX of POSIX file systems
        return f"A path has at most {PATH_DEPTH_MAX} parts of at most 255 bytes."
    return "" if _encodable(path) else "A path is valid Unicode."


def _read_ready(inputs: Mapping[str, Json], *, has_port: bool) -> Ready:
    ready = inputs.get("ready") or {}
    within = _seconds(ready.get("within"), Ready().within_seconds)
    if "http" in ready:
        return Ready("http", _text(ready["http"]), within)
    if ready.get("tcp", has_port):
        return Ready("tcp", "", within)
    return Ready("alive", "", within)


def _check_run(run: Json) -> Iterator[Finding]:
    if not isinstance(run, list | tuple) or not run:
        yield _fault("run", "The command is a list with at least one string.")
        return
    for index, argument in enumerate(run):
        if isinstance(argument, SecretRef):
            yield _fault(
                f"run[{index}]",
                "A secret may not be an argument: every user of the machine can read it.",
                remedy="Pass it through `env`.",
            )
        yield from _check_text(f"run[{index}]", argument, ARGUMENT_BYTES_MAX)
    if run[0] == "":
        yield _fault("run[0]", "The command is not empty.")


def _check_files(files: Mapping[str, Json]) -> Iterator[Finding]:
    if len(files) > FILES_MAX:
        yield _fault("files", f"There are at most {FILES_MAX} files.")
    for path, content in files.items():
        place = f"files[{path!r}]"
        if fault := path_fault(path):
            yield _fault(place, fault, code="INVALID_PATH")
        if isinstance(content, SecretRef):
            yield _fault(place, "A secret may not be a file's content.", remedy="Pass it through `env`.")
        yield from _check_text(place, content, FILES_BYTES_MAX, nul=True)
    yield from _check_nesting(files)
    if sum(_size(content) for content in files.values()) > FILES_BYTES_MAX:
        yield _fault("files", f"The files have at most {FILES_BYTES_MAX} bytes together.")


def _check_nesting(files: Mapping[str, Json]) -> Iterator[Finding]:
    for path in files:
        for parent in PurePosixPath(path).parents:
            if str(parent) in files:
                yield _fault(f"files[{path!r}]", f"{str(parent)!r} cannot be a file and a directory.")


def _check_env(env: Mapping[str, Json]) -> Iterator[Finding]:
    for name, value in env.items():
        place = f"env[{name!r}]"
        if not _VARIABLE.fullmatch(name):
            yield _fault(place, "A variable's name is letters, digits and '_', and begins with no digit.")
        if name.startswith(_RESERVED_PREFIX):
            yield _fault(place, f"Names that begin with {_RESERVED_PREFIX} are ours.")
        if not isinstance(value, SecretRef):
            yield from _check_text(place, value, ARGUMENT_BYTES_MAX)


def _check_ready(ready: Mapping[str, Json]) -> Iterator[Finding]:
    if "http" in ready and "tcp" in ready:
        yield _fault("ready", "There is one probe: `http` or `tcp`.")
    path = ready.get("http")
    if isinstance(path, str) and (not path.startswith("/") or not re.fullmatch(r"[!-~]+", path)):
        yield _fault("ready.http", "The path begins with '/' and has printable ASCII without blanks.")


def _check_durations(inputs: Mapping[str, Json]) -> Iterator[Finding]:
    for group, name in (("ready", "within"), ("restart", "backoff"), ("stop", "within")):
        text = (inputs.get(group) or {}).get(name)
        if text is None:
            continue
        try:
            parse_seconds(text)
        except (TypeError, ValueError) as error:
            yield _fault(f"{group}.{name}", f"{error}.")


def _check_text(place: str, value: Json, limit_bytes: int, *, nul: bool = False) -> Iterator[Finding]:
    for part in value.parts if isinstance(value, TemplateText) else (value,):
        if isinstance(part, EngineVariable | SecretRef):
            continue
        if not isinstance(part, str | int) or isinstance(part, bool):
            yield _fault(place, "It is a string.")
        elif isinstance(part, str) and ("\x00" in part and not nul):
            yield _fault(place, "It has no NUL character.")
        elif isinstance(part, str) and not _encodable(part):
            yield _fault(place, "It is valid Unicode.")
    if _size(value) > limit_bytes:
        yield _fault(place, f"It has at most {limit_bytes} bytes.")


def _size(value: Json) -> int:
    parts = value.parts if isinstance(value, TemplateText) else (value,)
    return sum(len(part.encode("utf-8", "surrogatepass")) for part in parts if isinstance(part, str))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _seconds(text: Json, default: float) -> float:
    return default if text is None else parse_seconds(text)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else str(value)


def _fault(place: str, sentence: str, *, code: str = "INVALID_INPUT", remedy: str = "") -> Finding:
    return Finding(
        summary=sentence,
        code=code,
        path=f"inputs.{place}",
        remedy=remedy or f"Correct `{place}` in the workload's step.",
    )
