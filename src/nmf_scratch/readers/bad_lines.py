"""The lines of a file of ratings that are bad, and why: to name them, or to leave them out.

The fast parser only knows that something is wrong. Then the file is walked in Python, record by record. A quoted field
may hold a record together over several lines; where such a record is bad, only its first line is, and those after it
are looked at for themselves, so that a stray quote swallows nothing.
"""

from __future__ import annotations

import csv
import math
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nmf_scratch._check import InputError
from nmf_scratch.data.dataset import PAIR
from nmf_scratch.readers.files import reading_lines
from nmf_scratch.readers.sniffing import (
    LONGEST_ID,
    LONGEST_LINE,
    Format,
    as_number,
    is_number,
    shorten,
    too_long,
)
from nmf_scratch.readers.table import HOW_TO_SKIP, NOT_KNOWN

_LINE_END = "\r\n"

SHOWN, COUNTED = 5, 1_000
"""Bad lines that a message shows, and after which it stops counting: then it is the layout that does not fit."""


class Record(NamedTuple):
    """One record of a file: the number of its first line, as it is written, and what is the matter with it."""

    number: int
    text: str
    problem: str | None

    def __str__(self) -> str:
        """Return what a message says of a bad one."""
        return f"line {self.number}: {self.problem}: {shorten(self.text.rstrip(_LINE_END))!r}"


def bad_lines(path: Path, form: Format) -> list[Record]:
    """Return the bad lines of a file, the first `COUNTED` of them."""
    with reading_lines(path, form.encoding) as lines:
        return list(islice((record for record in records(lines, form) if record.problem), COUNTED))


def refusal(path: Path, form: Format, otherwise: str) -> InputError:
    """Return an error that names the bad lines of a file; where each looks right, it says something else."""
    if found := bad_lines(path, form):
        return InputError(f"{path}, {_listed(found, len(found))}; {HOW_TO_SKIP}")
    return InputError(f"{path} cannot be read as a table separated by {form.separator!r}: {otherwise}")


@contextmanager
def without_bad_lines(path: Path, form: Format, told: Callable[[str], None]) -> Iterator[tuple[Path, Format]]:
    """Copy the good lines of a file into a temporary one, for the block, and tell which were left out.

    Raises
    ------
    InputError
        If no line is good.
    """
    shown: list[Record] = []
    n_good = n_bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "ratings.txt"
        with reading_lines(path, form.encoding) as lines, copy.open("w", encoding="utf-8", newline="") as good:
            for record in records(lines, form):
                if record.problem is None:
                    good.write(record.text)
                    n_good += record.number > form.skip and bool(record.text.strip())
                    continue
                n_bad += 1
                shown += [record] * (n_bad <= SHOWN)
        found = _listed(shown, n_bad) if shown else "though each looks right"
        if not n_good:
            raise InputError(f"{path} has no line that can be read, {found}")
        if shown:
            told(f"{path}: {n_bad:,} bad {'line' if n_bad == 1 else 'lines'} left out, {found}")
        yield copy, replace(form, encoding="utf-8")


def _listed(bad: list[Record], n_bad: int) -> str:
    """Name the first bad lines, and how many there are."""
    first, *others = map(str, bad[:SHOWN])
    if not others:
        return first
    count = f"{n_bad:,} or more" if n_bad == COUNTED else f"{n_bad:,}"
    rest = "; …" if n_bad > SHOWN else ""
    return f"{first} ({count} lines are bad; then {'; '.join(others)}{rest})"


def records(lines: Iterator[str], form: Format) -> Iterator[Record]:
    """Yield the records of a file, its header included.

    Parameters
    ----------
    lines : iterator of str
        With their ends.
    form : Format
        How they are laid out.
    """
    ahead: deque[tuple[int, str]] = deque()  # lines to look at once more
    taken: list[tuple[int, str]] = []  # those of the record at hand
    numbered = enumerate(lines, start=1)
    reader = _cut(_next_lines(ahead, numbered, taken), form)
    while True:
        taken.clear()
        try:
            if (fields := next(reader, None)) is None:
                return
            problem, is_over = _problem(fields, form), False
        except csv.Error as error:
            problem, is_over = f"{error} (is a quote not closed?)", True
        number, first = taken[0]
        if number <= form.skip or not first.strip():
            problem = None
        if problem and len(taken) > 1:
            ahead.extendleft(reversed(taken[1:]))
            is_over = True
        text = first if problem else "".join(line for _, line in taken)
        yield Record(number, text, problem)
        if is_over:
            reader = _cut(_next_lines(ahead, numbered, taken), form)


def _next_lines(
    ahead: deque[tuple[int, str]], numbered: Iterator[tuple[int, str]], taken: list[tuple[int, str]]
) -> Iterator[str]:
    """Yield lines, those ahead first, and remember which were taken."""
    while line := ahead.popleft() if ahead else next(numbered, None):
        taken.append(line)
        if len(line[1]) > LONGEST_LINE:
            raise csv.Error(too_long(line[1]))
        yield line[1]


def _cut(lines: Iterator[str], form: Format) -> Iterator[list[str]]:
    """Cut lines into fields."""
    if form.quoted:
        return csv.reader(lines, delimiter=form.separator, skipinitialspace=True)
    return (line.rstrip(_LINE_END).split(form.separator) for line in lines)


def _problem(fields: list[str], form: Format) -> str | None:
    """Say what is the matter with a record, None if nothing is."""
    if len(fields) != form.n_fields:
        return f"{len(fields)} field(s) where {form.n_fields} are expected (correct or remove the line)"
    for role in PAIR:
        if problem := _id_problem(fields[form.positions[role]], role in form.known):
            return f"{role} {problem}"
    return _rating_problem(fields, form) or _time_problem(fields, form)


def _id_problem(text: str, known: bool) -> str | None:
    if not text.strip():
        return "is missing (add it or remove the line)"
    if known and text in NOT_KNOWN:
        return f"{text!r} stands for one that is not known (add it or remove the line)"
    if "\n" in text or "\r" in text:
        return "goes on in the next line: is a quote not closed? (close it, or remove it)"
    if len(text) > LONGEST_ID:
        return f"has {len(text):,} characters, at most {LONGEST_ID:,} can be an id: is a quote not closed?"
    return None


def _rating_problem(fields: list[str], form: Format) -> str | None:
    where = form.positions.get("rating")
    if where is None:
        return None
    text = fields[where]
    rating = as_number(text, form.decimal)
    if rating is None:
        other = "," if form.decimal == "." else "."
        hint = f"pass decimal={other!r} (option --decimal)" if is_number(text, other) else "correct or remove the line"
        return f"rating {text!r} is not a number ({hint})"
    if not math.isfinite(rating):
        return f"rating {text!r} is not finite (a rating that is not known has no line: remove it)"
    if rating < 0:
        return f"rating {text!r} is negative; NMF needs ratings >= 0 (shift the scale or remove the line)"
    return None


def _time_problem(fields: list[str], form: Format) -> str | None:
    where = form.positions.get("timestamp")
    if where is None:
        return None
    time = as_number(fields[where], form.decimal)
    if (time is not None and math.isfinite(time)) or _is_date(fields[where]):
        return None
    return (
        f"timestamp {fields[where]!r} is neither a number nor an ISO 8601 date such as 2019-12-03 (write it so, or "
        "leave the column out: --columns user=…,item=…,rating=…)"
    )


def _is_date(text: str) -> bool:
    import pandas as pd  # only here, and only after an error

    return bool(pd.notna(pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")))
