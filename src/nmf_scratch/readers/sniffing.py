r"""How a delimited file is laid out, and which of its lines is wrong.

`sniff` looks at the first lines: which separator splits them all alike, whether the first one is a header, and which
column is which. `first_problem` is the other end: when a check over whole columns has failed, it walks the file line
by line and names the culprit. Both split lines in the same way, ``::`` plainly, anything else as CSV, where quotes
hold fields together; between tabs, where names like ``"Weird Al" Yankovic`` are common, only if the first line has
such a field.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nmf_scratch._check import InputError, check_choice
from nmf_scratch.data.dataset import PAIR, REQUIRED
from nmf_scratch.readers.files import reading_lines
from nmf_scratch.readers.table import NOT_KNOWN

Columns = Mapping[str, str | int]

SEPARATORS = ("::", "\t", ",", ";", "|")
"""What is tried, in this order, when no separator is given."""

ROLES = (*REQUIRED, "timestamp")

ALIASES: dict[str, tuple[str, ...]] = {
    "user": (
        "user",
        "userid",
        "uid",
        "username",
        "reviewerid",
        "reviewer",
        "customerid",
        "customer",
        "memberid",
        "reader",
        "readerid",
    ),
    "item": (
        *("item", "itemid", "iid", "movieid", "movie", "isbn", "bookid", "book", "productid", "product", "asin"),
        *("parentasin", "artistid", "artist", "trackid", "songid", "gameid", "animeid", "businessid", "recipeid"),
    ),
    "rating": (
        *("rating", "ratings", "score", "stars", "star", "bookrating", "overall", "userrating"),
        *("count", "counts", "plays", "playcount", "nplays", "listens", "clicks", "views", "purchases", "quantity"),
    ),
    "timestamp": ("timestamp", "time", "unixreviewtime", "unixtime", "datetime", "date", "ts", "createdat"),
}
"""Well-known column names, in lower case and without blanks, dashes and underscores."""

_SINGLE_CHARACTERS = "\t !#$%&*,/:;<=>?@^|~"  # what neither numbers nor words nor quotes are made of
_EARLIEST = 1e8
"""Numbers from here on are Unix seconds (from 1973 on) rather than counts."""

LONGEST_ID = 1_000
"""Characters; what is longer is a field that was not closed."""

LONGEST_LINE, MOST_FIELDS = 1_000_000, 1_000
"""Characters in a line and fields in it; what has more is no table of ratings, and would cost gigabytes to cut."""

_LINES_SNIFFED = 20
_SHOWN_CHARACTERS = 120
_IF_IMPLICIT = ", or implicit=True (option --implicit) if it holds choices without ratings"


class Layout(NamedTuple):
    """What a caller says of how a file of ratings is laid out; all but the last are parameters of `load_dataset`.

    With `padded_ids=False` ids such as ``007`` are not searched for, in files that are known to have none.
    """

    columns: Columns | None = None
    separator: str | None = None
    header: bool | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    implicit: bool = False
    padded_ids: bool = True

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that must be there."""
        return PAIR if self.implicit else REQUIRED


GUESSED = Layout()


@dataclass(frozen=True)
class Format:
    """How one file is laid out."""

    separator: str
    n_fields: int
    skip: int  # physical lines before the first line of data
    names: tuple[str, ...]  # of the header; empty without one
    positions: dict[str, int]  # of user, item, and, where there are any, rating and timestamp
    quoted: bool = True  # whether quotes hold fields together
    encoding: str = "utf-8"
    decimal: str = "."
    known: tuple[str, ...] = ("user",)  # columns in which NULL, NA and the like are no ids
    surplus: bool = False  # whether the first line of data has more fields than the file has columns


def sniff(path: Path, layout: Layout) -> Format:
    """Find out from its first lines how a file of ratings is laid out.

    Raises
    ------
    InputError
        If no separator fits, if a column is not there, or if there is nothing but a header.
    """
    required, columns = layout.required, layout.columns
    _check_options(layout)
    lines = first_lines(path, layout.encoding)
    separator = layout.separator or guess_separator(path, [line for _, line in lines], layout)
    number, line = lines[0]
    quoted = are_quoted(line, separator)
    rows = [split(text, separator, quoted=quoted) for _, text in lines]
    first = rows[0]
    if len(first) < len(required):
        raise InputError(_misfit(path, number, line, separator))
    check_width(path, len(first))
    named = layout.header
    if named is None:
        named = _has_names(columns) or _is_header(rows, layout)
    if named and len(lines) == 1:
        raise InputError(f"{path} holds a header but no rating; give a file with at least one line of data")
    names = tuple(first) if named else ()
    sample = rows[1] if named else first
    has_surplus, sample = len(sample) > len(first), sample[: len(first)]
    positions = _given(path, columns, names, len(first)) if columns else _guessed(path, names, sample, layout)
    items = [row[positions["item"]] for row in rows[named:] if len(row) > positions["item"]]
    numbered = any(map(str.isdecimal, items)) and all(item.isdecimal() or item in NOT_KNOWN for item in items)
    return Format(
        separator,
        len(first),
        number if named else number - 1,
        names,
        positions,
        quoted,
        layout.encoding,
        layout.decimal,
        known=PAIR if numbered else ("user",),  # there are bands, but no users, of that name
        surplus=has_surplus,
    )


def first_lines(path: Path, encoding: str) -> list[tuple[int, str]]:
    """Return the first lines that are not blank, each with its number from 1.

    Raises
    ------
    InputError
        If there is none.
    """
    with reading_lines(path, encoding) as text:
        numbered = ((i, line.rstrip("\r\n")) for i, line in enumerate(text, start=1))
        lines = list(islice(((i, line) for i, line in numbered if line.strip()), _LINES_SNIFFED))
    if not lines:
        raise InputError(f"{path} is empty; give a file with at least one rating")
    number, longest = max(lines, key=lambda pair: len(pair[1]))
    if len(longest) > LONGEST_LINE:
        raise InputError(f"{path}, line {number}: {too_long(longest)}")
    return lines


def too_long(line: str) -> str:
    """Say that a line is."""
    return f"{len(line):,} characters in one line, at most {LONGEST_LINE:,} can be a rating: is this a table of lines?"


def check_width(path: Path, n_fields: int) -> None:
    """Refuse a file with absurdly many columns."""
    if n_fields > MOST_FIELDS:
        raise InputError(
            f"{path} has {n_fields:,} columns, at most {MOST_FIELDS:,} are read: a line should hold one user, one item "
            "and one rating (a matrix with a column per item has to be unpivoted first, as by pandas.melt)"
        )


def guess_separator(path: Path, lines: list[str], layout: Layout) -> str:
    """Return the separator that cuts the first line into fields enough, and most other lines alike."""
    required = layout.required
    candidates = [s for s in SEPARATORS if s != layout.decimal]
    quoted = {s: are_quoted(lines[0], s) for s in candidates}
    counts = {s: [len(split(line, s, quoted=quoted[s])) for line in lines] for s in candidates}
    fitting = [s for s in candidates if counts[s][0] >= len(required)]
    if not fitting:
        pairs = any(count[0] == len(PAIR) for count in counts.values())
        raise InputError(
            f"none of {', '.join(map(repr, candidates))} separates the first line of {path} into "
            f"{_listed(required)}; pass separator=... (option --separator)"
            f"{_IF_IMPLICIT if pairs else ''}: {shorten(lines[0])!r}"
        )
    return max(fitting, key=lambda s: sum(count == counts[s][0] for count in counts[s]))


def are_quoted(first: str, separator: str) -> bool:
    """Tell by its first line whether quotes hold the fields of a file together."""
    if separator == "::":
        return False
    return separator != "\t" or any(len(f) > 1 and f[0] == f[-1] == '"' for f in first.strip().split("\t"))


def split(line: str, separator: str, *, quoted: bool = True) -> list[str]:
    """Cut one line into fields."""
    if separator == "::" or not quoted:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:  # a field beyond all measure
        return [line]


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a field holds a number in plain digits (``nan`` and ``inf`` included)."""
    return as_number(text, decimal) is not None


def as_number(text: str, decimal: str = ".") -> float | None:
    """Return the number that a field holds, None if it holds none."""
    if "_" in text or not text.isascii() or (decimal != "." and "." in text):
        return None
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return None


def _is_header(rows: list[list[str]], layout: Layout) -> bool:
    """Whether a first line names the columns: no number is in it, though ratings, or the next line, are numbers."""
    numbers = [any(is_number(field, layout.decimal) for field in row) for row in rows[:2]]
    if numbers[0]:
        return False
    known = {alias for names in ALIASES.values() for alias in names}
    return not layout.implicit or bool(known & set(map(plain_name, rows[0]))) or any(numbers)


def plain_name(name: str) -> str:
    """Reduce a column name to lower-case letters and digits, as in `ALIASES`."""
    return re.sub(r"[\W_]", "", name.lower())


def _check_options(layout: Layout) -> None:
    columns, separator = layout.columns, layout.separator
    for role in columns or ():
        check_choice("columns key", role, ROLES)
    missing = [role for role in layout.required if columns and role not in columns]
    if missing:
        hint = _IF_IMPLICIT if missing == ["rating"] else ""
        given = dict(columns or {})
        raise InputError(f"columns={given} lacks {', '.join(missing)}; name {_listed(layout.required)}{hint}")
    if layout.header is False and _has_names(columns):
        raise InputError("columns given by name need a header; pass positions from 0, or leave header=False out")
    if separator not in (None, "::", *_SINGLE_CHARACTERS):
        raise InputError(f"separator={separator!r} is not supported; pass one character such as ',' or '\\t', or '::'")
    if layout.decimal not in (".", ","):
        raise InputError(f"decimal={layout.decimal!r} is not supported; pass '.' or ','")
    if separator == layout.decimal:
        raise InputError(f"separator and decimal are both {separator!r}; only one of them can be")


def _has_names(columns: Columns | None) -> bool:
    return any(isinstance(where, str) for where in (columns or {}).values())


def _misfit(path: Path, number: int, line: str, separator: str) -> str:
    likely = next((s for s in SEPARATORS if len(split(line, s)) >= len(REQUIRED)), None)
    hint = f"try separator={likely!r}" if likely else "pass the character between its fields"
    n_fields = len(split(line, separator))
    found = f"line {number} has {n_fields} field(s)"
    return f"separator={separator!r} does not fit {path}: {found}; {hint}: {shorten(line)!r}"


def _given(path: Path, columns: Columns, names: tuple[str, ...], n_fields: int) -> dict[str, int]:
    """Positions of the columns that the caller named or numbered."""
    positions = {}
    for role, where in columns.items():
        known = where in names if isinstance(where, str) else 0 <= where < n_fields
        if not known:
            exist = ", ".join(names) if names else f"positions 0 to {n_fields - 1}"
            raise InputError(f"columns[{role!r}]={where!r} is not in {path}; it has: {exist}")
        positions[role] = names.index(where) if isinstance(where, str) else where
    return positions


def _listed(roles: tuple[str, ...]) -> str:
    return f"{', '.join(roles[:-1])} and {roles[-1]}"


def _guessed(path: Path, names: tuple[str, ...], sample: list[str], layout: Layout) -> dict[str, int]:
    """Positions by well-known names, else user, item, rating[, timestamp] in this order."""
    if found := _well_known(path, names, layout.required):
        return found
    third = as_number(sample[2], layout.decimal) if len(sample) > 2 else None
    if layout.implicit and (third is None or not third < _EARLIEST):
        return {"user": 0, "item": 1} | ({} if third is None else {"timestamp": 2})
    # A fourth column that is no number is a review or a remark rather than a time.
    n_roles = 4 if len(sample) > 3 and is_number(sample[3], layout.decimal) else 3
    return {role: position for position, role in enumerate(ROLES[:n_roles])}


def _well_known(path: Path, names: tuple[str, ...], required: tuple[str, ...], *, only: bool = False) -> dict[str, int]:
    """Positions by well-known names; empty where there is none of them, unless they are the only way."""
    plain = [plain_name(name) for name in names]
    found = {role: plain.index(alias) for role in ROLES for alias in reversed(ALIASES[role]) if alias in plain}
    missing = [role for role in required if role not in found]
    if missing and (found or only):
        keys, words = (", ".join(f"{role!r}: ..." for role in required), ",".join(f"{role}=..." for role in required))
        raise InputError(
            f"cannot tell which column of {path} is the {' and the '.join(missing)}; it has: {', '.join(names)}; "
            f"pass columns={{{keys}}} (option --columns {words}){_IF_IMPLICIT if missing == ['rating'] else ''}"
        )
    return found


def locate(path: Path, layout: Layout, names: tuple[str, ...]) -> dict[str, int]:
    """Find the columns of a table whose columns have names; errors as in `sniff`."""
    _check_options(layout)
    if layout.columns:
        return _given(path, layout.columns, names, len(names))
    return _well_known(path, names, layout.required, only=True)


def shorten(line: str) -> str:
    """Return as much of a line as a message can show."""
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + "…"
