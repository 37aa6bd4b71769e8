"""Dots in the terminal: a canvas of braille characters, two dots wide and four high each. Pure.

`terminal` draws on it. Every cell remembers which layer drew on it last, so that it can be coloured; without
colours, layers differ by their pattern.
"""

from collections.abc import Callable

_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800

Pattern = Callable[[int, int], bool]
"""Says whether a dot of an area is set, by its column and row."""


def sparse(column: int, row: int) -> bool:
    """Set one dot of four."""
    return column % 2 == 0 and (row + column // 2) % 2 == 0


class Canvas:
    """A canvas. Dots count from the left and from the top.

    Args:
        width: In characters.
        height: In characters.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._bits = [[0] * width for _ in range(height)]
        self._layers = [[""] * width for _ in range(height)]

    @property
    def columns(self) -> int:
        """How many dots it is wide."""
        return self.width * 2

    @property
    def rows(self) -> int:
        """How many dots it is high."""
        return self.height * 4

    def dot(self, column: int, row: int, layer: str) -> None:
        """Set one dot; outside of the canvas nothing happens."""
        if 0 <= column < self.columns and 0 <= row < self.rows:
            self._bits[row // 4][column // 2] |= _BITS[column % 2][row % 4]
            self._layers[row // 4][column // 2] = layer

    def line(self, start: tuple[int, int], end: tuple[int, int], layer: str, *, every: int = 1) -> None:
        """Set the dots from one to another; with `every`, only one of so many columns."""
        (c0, r0), (c1, r1) = start, end
        steps = max(abs(c1 - c0), abs(r1 - r0), 1)
        for step in range(steps + 1):
            column = round(c0 + (c1 - c0) * step / steps)
            if column % every == 0:
                self.dot(column, round(r0 + (r1 - r0) * step / steps), layer)

    def area(self, column: int, top: int, bottom: int, layer: str, pattern: Pattern = sparse) -> None:
        """Set dots of a column by a pattern, from a row down to another."""
        for row in range(max(top, 0), min(bottom, self.rows - 1) + 1):
            if pattern(column, row):
                self.dot(column, row, layer)

    def cell(self, column: int, row: int) -> tuple[str, str]:
        """Answer the character of a cell, a blank where nothing was drawn, and who drew on it last."""
        bits = self._bits[row][column]
        return (chr(_BLANK + bits) if bits else " "), self._layers[row][column]
