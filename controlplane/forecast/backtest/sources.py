"""Which source a model is made of, as one digest: what a cached forecast must match.

The cache asks it. A model's file counts, and every file of this repository that it imports, however
indirectly; installed libraries do not. It imports no model.
"""

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from controlplane.forecast.registry import HEAVY, LIGHT

OURS = ("controlplane.forecast", "benchmarks")
"""Packages whose sources count."""


def model_digest(name: str) -> str:
    """Answer a digest of the sources of a model, by the registry's name or `module:Class`."""
    place = {**LIGHT, **HEAVY}.get(name, name)
    module, _, kind = place.partition(":")
    digest = hashlib.sha256(kind.encode())
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current in seen or (path := _file(current)) is None:
            continue
        seen.add(current)
        waiting += _imported(path, current)
    for found in sorted(seen):
        path = _file(found)
        assert path is not None
        digest.update(found.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def _file(module: str) -> Path | None:
    """Answer a module's file, None where it has none or is not ours to watch."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin and found.has_location else None


def _imported(path: Path, module: str) -> list[str]:
    """Answer the names that a file imports from packages that count, perhaps more than there are modules."""
    names: list[str] = []
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = package.split(".")
                source = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [source])])
            names += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.startswith(OURS)]
