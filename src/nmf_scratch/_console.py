"""Consoles and tables that show ids, titles and names of files as the text they are.

What people call things is not ours to interpret: ``[deleted]`` is no markup, ``:heart:`` no picture, and an escape
character must not reach a terminal, which would obey it. So markup and emoji are off, and characters that steer a
terminal (or turn the direction of the text around) are shown by their codes.
"""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ALSO_IN_CELLS = re.compile("[\t\n]")

WIDE = 1000
"""Columns where no terminal says how many there are: a file takes lines of any length."""


def visible(text: str, *, cell: bool = False) -> str:
    r"""Return text in which characters that steer a terminal are shown by their codes, as ``\x1b``.

    Parameters
    ----------
    text : str
    cell : bool
        Whether ends of lines and tabs are shown so, too: what stands in one cell is one line.
    """
    shown = _STEERING.sub(_code, text)
    return _ALSO_IN_CELLS.sub(_code, shown) if cell else shown


def in_json(text: str) -> str:
    r"""Return JSON in which such characters are escaped as ``\u001b``, which means the same."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class PlainConsole(Console):
    """A console on which text is text: no markup, no emoji, no colours for numbers, no steering characters."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        if self._width is not None and self._width < 1:  # COLUMNS=0
            self._width = None

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines; off a terminal, as many columns as a table needs."""
        found = super().size
        narrow = self._width is not None or self.is_terminal
        return found if narrow else ConsoleDimensions(WIDE, found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def on_broken_pipe(self) -> None:
        """Let the caller decide what becomes of work whose reader has gone."""
        raise BrokenPipeError

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn text into what is drawn."""
        return super().render_str(visible(text), **options)


class PlainTable(Table):
    """A table whose title and cells are one line each, whatever they hold."""

    def __init__(self, title: str, **options: Any) -> None:
        super().__init__(title=visible(title, cell=True), **options)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row of texts."""
        super().add_row(*(visible(cell, cell=True) if isinstance(cell, str) else cell for cell in cells), **options)
