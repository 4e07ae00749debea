"""HTML from plain functions: text is escaped unless it is markup already, and every element is closed.

A title may hold anything, `<script>` included. Escaping is therefore not left to whoever writes a section: `element`
escapes all that is not `Html`, and only the functions here and in `pictures` make `Html`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

VOID = {"img", "meta", "source"}
"""Elements that have no content and no end."""

ABSENT = "–"


class Html(str):
    """Markup, as opposed to text."""

    __slots__ = ()


class Column(NamedTuple):
    """A column of a table: its heading, and how its numbers are written; None for text."""

    heading: str
    form: str | None = None


class Section(NamedTuple):
    """A part of the page: its id, its heading, what it says in a sentence or two for the top, and its content."""

    id: str
    heading: str
    said: str
    content: Html


def element(name: str, *content: Any, **attributes: Any) -> Html:
    """Return an element.

    Parameters
    ----------
    name : str
        Of the element.
    *content
        Markup (`Html`) as it is, anything else as escaped text; None is left out.
    **attributes
        ``class_`` stands for class, ``data_value`` for data-value. True writes the name alone; None and False nothing.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    words = [_attribute(key, value) for key, value in given.items() if value is not None and value is not False]
    start = " ".join([name, *words])
    return Html(f"<{start}>" if name in VOID else f"<{start}>{joined(*content)}</{name}>")


def _attribute(name: str, value: Any) -> str:
    return name if value is True else f'{name}="{escape(str(value), quote=True)}"'


def joined(*content: Any) -> Html:
    """Return pieces one after the other, each escaped unless it is markup."""
    return Html(
        "".join(piece if isinstance(piece, Html) else escape(str(piece)) for piece in content if piece is not None)
    )


def paragraphs(*texts: str) -> Html:
    """Return one paragraph per text that says something."""
    return joined(*(element("p", text) for text in texts if text))


def slug(text: str) -> str:
    """Return a text as an id: letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table(
    caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, sorted_by: tuple[str, str] | None = None
) -> Html:
    """Return a table that the script of the page makes sortable, in a box that scrolls by itself where it is wide.

    Parameters
    ----------
    caption : str
        What the table holds; no two tables of a page may share it.
    columns : sequence of Column
        The first one names the rows.
    rows : iterable of sequence
        Cells, one per column; None and NaN are shown as a dash.
    sorted_by : (str, str), optional
        Heading and direction ("ascending", "descending") of the order in which the rows are given.
    """
    name = f"table-{slug(caption)}"
    head = element("tr", *(_heading(column, sorted_by) for column in columns))
    body = (element("tr", *map(_cell, row, columns, range(len(columns)))) for row in rows)
    whole = element(
        "table",
        element("caption", caption, id=name),
        element("thead", head),
        element("tbody", *body),
    )
    return element("div", whole, class_="scroll", role="group", tabindex=0, aria_labelledby=name)


def _heading(column: Column, sorted_by: tuple[str, str] | None) -> Html:
    order = sorted_by[1] if sorted_by and sorted_by[0] == column.heading else None
    return element("th", column.heading, scope="col", aria_sort=order, class_="number" if column.form else None)


def _cell(value: Any, column: Column, place: int) -> Html:
    name, attributes = ("th", {"scope": "row"}) if place == 0 else ("td", {})
    if column.form is None:
        return element(name, ABSENT if value is None else value, **attributes)
    absent = value is None or math.isnan(value)
    text = ABSENT if absent else column.form.format(value)
    return element(name, text, **attributes, class_="number", data_value=None if absent else repr(float(value)))


def facts(caption: str, rows: Iterable[tuple[str, Any]]) -> Html:
    """Return a list of names and values, in two columns."""
    pairs = (joined(element("dt", name), element("dd", value)) for name, value in rows)
    return joined(element("h3", caption), element("dl", *pairs))


def listed(words: Iterable[Any]) -> str:
    """Return words as a sentence has them: "a, b and c"."""
    *before, last = map(str, words)
    return f"{', '.join(before)} and {last}" if before else last
