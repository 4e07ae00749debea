"""What notebooks show of results: a sentence and a table, in HTML that holds whatever titles hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

ROWS = 12
"""Rows that are shown of a longer table: as many from its beginning as from its end."""


def summary(sentence: str, columns: Iterable[str], rows: Sequence[Iterable[Any]]) -> str:
    """Return a sentence over a table; numbers have five digits, missing ones are blank.

    Parameters
    ----------
    sentence : str
        What it is.
    columns : iterable of str
        Heads.
    rows : sequence of iterable
        Cells; the middle of a long table is left out.

    Returns
    -------
    str
        HTML.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    shown = [_row(row) for row in rows]
    if len(shown) > ROWS:
        gap = f"<tr><td colspan=99>… {len(shown) - ROWS:,} more …</td></tr>"
        shown = [*shown[: ROWS // 2], gap, *shown[-ROWS // 2 :]]
    return f"<p>{escape(sentence)}</p><table><tr>{head}</tr>{''.join(shown)}</table>"


def _row(cells: Iterable[Any]) -> str:
    return f"<tr>{''.join(f'<td>{escape(_cell(cell))}</td>' for cell in cells)}</tr>"


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.5g}"
    return str(cell)
