"""Which models were asked for, and which of them this installation can run. It imports none of them.

The backtest's command calls it. A model that is asked for by name and cannot run is an error; of those that
nobody named it is only told.
"""

import importlib.util
from collections.abc import Callable, Sequence

from controlplane.forecast.registry import COMBINED, HEAVY, LIGHT, NAMES
from enchain.chains.errors import EnchainError, InvalidArgumentError, PreconditionError

LIBRARIES = {"MSTL": "statsforecast", "Prophet": "prophet", "LightGBM": "lightgbm", "LSTM": "tensorflow"}
"""What a model needs beside numpy."""


def asked(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Read names of models, each one or several by commas.

    Raises:
        InvalidArgumentError: There is none of that name.
        PreconditionError: Its libraries are not installed.
    """
    found = tuple(dict.fromkeys(name.strip() for each in names for name in each.split(",") if name.strip()))
    for name in found:
        if (fault := _fault(name, known)) is not None:
            raise fault
    return found


def runnable(names: Sequence[str], tell: Callable[[str], None]) -> tuple[str, ...]:
    """Answer those models that can run here, and tell why the others cannot."""
    faults = {name: _fault(name, (*NAMES, COMBINED)) for name in names}
    for fault in faults.values():
        if fault is not None:
            tell(f"left out: {fault.message}. {fault.remedy}")
    return tuple(name for name, fault in faults.items() if fault is None)


def _fault(name: str, known: Sequence[str]) -> EnchainError | None:
    """Say why a model cannot run here."""
    if name == COMBINED and COMBINED in known:
        return None
    module, colon, _ = {**LIGHT, **HEAVY}.get(name, name).partition(":")
    if (":" not in name and name not in known) or not colon:
        return InvalidArgumentError(
            f"there is no model {name}",
            reason="MODEL_UNKNOWN",
            remedy=f"Name some of {', '.join(known)}, or a `module:Class` that can be imported.",
            metadata={"model": name},
        )
    for needed in filter(None, [module, LIBRARIES.get(name)]):
        if not _importable(needed):
            return PreconditionError(
                f"the model {name} cannot run: there is no module {needed}",
                reason="MODEL_NOT_INSTALLED",
                remedy="pip install 'enchain[forecasting]'",
                metadata={"model": name, "module": needed},
            )
    return None


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
