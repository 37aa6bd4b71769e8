"""Units as people read them: cores, GiB, requests an hour. Pure."""

from dataclasses import dataclass

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_PLAIN = {"{request}/h": "requests/h", "{cpu}": "cores"}
_BINARY = 1024.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers of a unit are written.

    Attributes:
        factor: What they are multiplied by.
        label: What follows them.
    """

    factor: float
    label: str

    def text(self, value: float) -> str:
        """Write one number, three digits or a little more."""
        return f"{number(value * self.factor)} {self.label}"


def scale_of(unit: str, largest: float) -> Scale:
    """Choose how to write numbers of a UCUM unit so that the largest has few digits."""
    if unit in ("By", "By/s"):
        power = 0
        while largest >= _BINARY and power < len(_BYTES) - 1:
            largest /= _BINARY
            power += 1
        return Scale(_BINARY**-power, _BYTES[power] + unit.removeprefix("By"))
    return Scale(1.0, _PLAIN.get(unit, unit))


def number(value: float) -> str:
    """Write a number with about three digits, and never as a power of ten within reason."""
    if value == 0:
        return "0"
    size = abs(value)
    if not 0.001 <= size < 1e9:  # noqa: PLR2004 - where digits help nobody
        return f"{value:.2e}"
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3  # noqa: PLR2004 - three digits
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
