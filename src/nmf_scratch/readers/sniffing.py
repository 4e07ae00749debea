r"""How a delimited file is laid out, and which of its lines is wrong.

`sniff` looks at the first lines: which separator splits them all alike, whether the first one is a header, and which
column is which. `first_problem` is the other end: when a check over whole columns has failed, it walks the file line
by line and names the culprit. Both split lines in the same way, ``::`` plainly, anything else as CSV, where quotes
hold fields together; between tabs, where names like ``"Weird Al" Yankovic`` are common, only if the first line has
such a field.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nmf_scratch._check import InputError, check_choice
from nmf_scratch.data.dataset import PAIR, REQUIRED
from nmf_scratch.readers.files import reading_lines

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

_LINES_SNIFFED = 20
_SHOWN_CHARACTERS = 120
_IF_IMPLICIT = ", or implicit=True (option --implicit) if it holds choices without ratings"


@dataclass(frozen=True)
class Format:
    """How one file is laid out."""

    separator: str
    n_fields: int
    skip: int  # physical lines before the first line of data
    names: tuple[str, ...]  # of the header; empty without one
    positions: dict[str, int]  # of user, item, and, where there are any, rating and timestamp
    quoted: bool = True  # whether quotes hold fields together


def sniff(
    path: Path,
    *,
    columns: Columns | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    implicit: bool = False,
) -> Format:
    """Find out from its first lines how a file of ratings is laid out; parameters as in `read_ratings`.

    Raises
    ------
    InputError
        If no separator fits, if a column is not there, or if there is nothing but a header.
    """
    required = PAIR if implicit else REQUIRED
    _check_options(columns, separator, header, required)
    lines = first_lines(path, encoding)
    separator = separator or guess_separator(path, [line for _, line in lines], required)
    number, line = lines[0]
    quoted = are_quoted(line, separator)
    first = split(line, separator, quoted=quoted)
    if len(first) < len(required):
        raise InputError(_misfit(path, number, line, separator))
    second = split(lines[1][1], separator, quoted=quoted) if len(lines) > 1 else []
    named = header if header is not None else _has_names(columns) or _is_header(first, second, required)
    if named and len(lines) == 1:
        raise InputError(f"{path} holds a header but no rating; give a file with at least one line of data")
    names = tuple(first) if named else ()
    sample = second if named else first
    positions = _given(path, columns, names, len(first)) if columns else _guessed(path, names, sample, required)
    form = Format(separator, len(first), number if named else number - 1, names, positions, quoted)
    # pandas takes the surplus of a first line for row labels, without a word.
    if len(sample) > len(first) and (problem := first_problem(path, form, encoding)):
        raise InputError(problem)
    return form


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
    return lines


def guess_separator(path: Path, lines: list[str], required: tuple[str, ...] = REQUIRED) -> str:
    """Return the separator that cuts the first line into fields enough, and most other lines alike."""
    quoted = {s: are_quoted(lines[0], s) for s in SEPARATORS}
    counts = {s: [len(split(line, s, quoted=quoted[s])) for line in lines] for s in SEPARATORS}
    fitting = [s for s in SEPARATORS if counts[s][0] >= len(required)]
    if not fitting:
        pairs = any(count[0] == len(PAIR) for count in counts.values())
        raise InputError(
            f"none of {', '.join(map(repr, SEPARATORS))} separates the first line of {path} into "
            f"{_listed(required)}; pass separator=... (option --separator)"
            f"{_IF_IMPLICIT if pairs else ''}: {_shorten(lines[0])!r}"
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


def is_number(text: str) -> bool:
    """Whether a field holds a number in plain digits (``nan`` and ``inf`` included)."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text and text.isascii()


def _is_header(first: list[str], second: list[str], required: tuple[str, ...]) -> bool:
    """Whether a first line names the columns: no number is in it, though ratings, or the next line, are numbers."""
    if any(map(is_number, first)):
        return False
    if "rating" in required or {plain_name(name) for name in first} & {a for names in ALIASES.values() for a in names}:
        return True
    return any(map(is_number, second))


def plain_name(name: str) -> str:
    """Reduce a column name to lower-case letters and digits, as in `ALIASES`."""
    return re.sub(r"[\W_]", "", name.lower())


def _check_options(
    columns: Columns | None, separator: str | None, header: bool | None, required: tuple[str, ...]
) -> None:
    for role in columns or ():
        check_choice("columns key", role, ROLES)
    missing = [role for role in required if columns and role not in columns]
    if missing:
        hint = _IF_IMPLICIT if missing == ["rating"] else ""
        given = dict(columns or {})
        raise InputError(f"columns={given} lacks {', '.join(missing)}; name {_listed(required)}{hint}")
    if header is False and _has_names(columns):
        raise InputError("columns given by name need a header; pass positions from 0, or leave header=False out")
    if separator not in (None, "::", *_SINGLE_CHARACTERS):
        raise InputError(f"separator={separator!r} is not supported; pass one character such as ',' or '\\t', or '::'")


def _has_names(columns: Columns | None) -> bool:
    return any(isinstance(where, str) for where in (columns or {}).values())


def _misfit(path: Path, number: int, line: str, separator: str) -> str:
    likely = next((s for s in SEPARATORS if len(split(line, s)) >= len(REQUIRED)), None)
    hint = f"try separator={likely!r}" if likely else "pass the character between its fields"
    n_fields = len(split(line, separator))
    found = f"line {number} has {n_fields} field(s)"
    return f"separator={separator!r} does not fit {path}: {found}; {hint}: {_shorten(line)!r}"


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


def _guessed(path: Path, names: tuple[str, ...], sample: list[str], required: tuple[str, ...]) -> dict[str, int]:
    """Positions by well-known names, else user, item, rating[, timestamp] in this order."""
    if found := _well_known(path, names, required):
        return found
    third = float(sample[2]) if len(sample) > 2 and is_number(sample[2]) else None
    if "rating" not in required and (third is None or not third < _EARLIEST):
        return {"user": 0, "item": 1} | ({} if third is None else {"timestamp": 2})
    # A fourth column that is no number is a review or a remark rather than a time.
    n_roles = 4 if len(sample) > 3 and is_number(sample[3]) else 3
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


def locate(path: Path, columns: Columns | None, names: tuple[str, ...], *, implicit: bool = False) -> dict[str, int]:
    """Find the columns of a table whose columns have names; parameters and errors as in `sniff`."""
    required = PAIR if implicit else REQUIRED
    _check_options(columns, None, None, required)
    if columns:
        return _given(path, columns, names, len(names))
    return _well_known(path, names, required, only=True)


# --- the line at fault ----------------------------------------------------------------------------------------------


def first_problem(path: Path, form: Format, encoding: str) -> str | None:
    """Walk a file line by line and describe the first bad line (None if each looks right)."""
    number = 0
    with reading_lines(path, encoding) as text:
        try:
            for number, raw, fields in _records(text, form):
                problem = _problem(fields, form) if number > form.skip and raw.strip() else None
                if problem:
                    return f"{path}, line {number}: {problem}: {_shorten(raw)!r}"
        except csv.Error as error:
            return f"{path}, after line {number}: {error} (is a quote not closed?)"
    return None


def _records(lines: Iterable[str], form: Format) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line number, raw text, fields); a quoted field may span lines."""
    separator = form.separator
    if not form.quoted:
        plain = (line.rstrip("\r\n") for line in lines)
        yield from ((i, line, line.split(separator)) for i, line in enumerate(plain, start=1))
        return
    consumed: list[str] = []
    number = 1
    # The CSV reader takes exactly the lines that a record needs; a copy of them is kept for the message.
    remembered = (consumed.append(line) or line for line in lines)  # type: ignore[func-returns-value]
    for fields in csv.reader(remembered, delimiter=separator, skipinitialspace=True):
        yield number, "".join(consumed).rstrip("\r\n"), fields
        number += len(consumed)
        consumed.clear()


def _problem(fields: list[str], form: Format) -> str | None:
    if len(fields) != form.n_fields:
        return f"{len(fields)} field(s) where {form.n_fields} are expected (correct or remove the line)"
    for role in PAIR:
        if problem := _id_problem(fields[form.positions[role]]):
            return f"{role} {problem}"
    rating = form.positions.get("rating")
    return (_rating_problem(fields[rating]) if rating is not None else None) or _time_problem(fields, form)


def _id_problem(text: str) -> str | None:
    if not text.strip():
        return "is missing (add it or remove the line)"
    if "\n" in text or "\r" in text:
        return "goes on in the next line: is a quote not closed? (close it, or remove it)"
    if len(text) > LONGEST_ID:
        return f"has {len(text):,} characters, at most {LONGEST_ID:,} can be an id: is a quote not closed?"
    return None


def _rating_problem(text: str) -> str | None:
    if not is_number(text):
        return f"rating {text!r} is not a number (correct or remove the line)"
    rating = float(text)
    if not math.isfinite(rating):
        return f"rating {text!r} is not finite (a rating that is not known has no line: remove it)"
    if rating < 0:
        return f"rating {text!r} is negative; NMF needs ratings >= 0 (shift the scale or remove the line)"
    return None


def _time_problem(fields: list[str], form: Format) -> str | None:
    where = form.positions.get("timestamp")
    if where is None or (is_number(fields[where]) and math.isfinite(float(fields[where]))) or _is_date(fields[where]):
        return None
    return (
        f"timestamp {fields[where]!r} is neither a number nor an ISO 8601 date such as 2019-12-03 (write it so, or "
        "leave the column out: --columns user=…,item=…,rating=…)"
    )


def _is_date(text: str) -> bool:
    import pandas as pd  # only here, and only after an error

    return bool(pd.notna(pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")))


def _shorten(line: str) -> str:
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + "…"
