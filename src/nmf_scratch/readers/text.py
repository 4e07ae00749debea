r"""Ratings from delimited text: fast when the file is right, exact about the line when it is not.

Real files come as ``196\t242\t3\t881250949``, as ``1::1193::5::978300760``, as ``"276725";"034545104X";"0"``, with
or without a header, compressed or not. A file is read in three steps:

1. *Sniff* the first lines (`nmf_scratch.readers.sniffing`): separator, header, the position of each column.
2. *Parse* chunk by chunk with the C parser of pandas. It knows only single-character separators, but ``::`` is merely
   ``:`` with an empty column in between, which is ten times faster than the parser pandas has for ``::``.
3. *Check* the columns of each chunk. Only if a check fails is the file walked line by line, to name the line.

Chunks keep the memory near that of the result, and are faster than one large bite: what the parser works on stays
in the processor's cache. Ids keep their meaning: integers stay integers, but ``0001234567`` (an ISBN) is text, because
its zeros belong to it. Where ids are text, each distinct one is kept once while reading, and a number for each line.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch.readers.binary import SUFFIXES, read_binary, spread
from nmf_scratch.readers.files import reading
from nmf_scratch.readers.sniffing import LONGEST_ID, Columns, Format, first_problem, sniff
from nmf_scratch.readers.table import checked, has_blanks, how_to_merge, is_sound, merge_repeats, with_seconds

_CHUNK_LINES = 2**17  # some 20 MB in pandas' hands; larger ones are slower, too
_BLOCK_BYTES = 2**18
_DROPS_SURPLUS = int(pd.__version__.partition(".")[0]) < 3  # a surplus field where a chunk begins, without a word
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def read_ratings(
    path: str | Path,
    *,
    columns: Columns | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    implicit: bool = False,
    duplicates: str | None = None,
) -> pd.DataFrame:
    r"""Read a delimited file of ratings, one row per (user, item) pair.

    Parameters
    ----------
    path : str or Path
        The file; ``.gz``, ``.bz2`` and ``.xz`` are decompressed. ``.npz`` and ``.parquet`` are read as binary tables
        (`nmf_scratch.readers.binary`), for which of the options only `columns` counts.
    columns : mapping, optional
        ``user``, ``item``, ``rating`` (and ``timestamp``) to a header name or a position from 0. By default the
        header is searched for well-known names, else the first three or four columns are taken in this order.
    separator : str, optional
        One character or ``"::"``; by default whichever of ``::``, tab, ``,``, ``;``, ``|`` fits the first lines.
    header : bool, optional
        Whether the first line names the columns; by default it does when nothing in it is a number.
    encoding : str
        Of the text, as in ``"latin-1"``.
    implicit : bool
        Whether the file holds choices (clicks, plays, purchases): a rating need not be there and is then 1 a line.
    duplicates : {"last", "sum", "mean"}, optional
        What becomes of repeated pairs, see `merge_repeats`; by default choices are summed, and of ratings the last
        counts.

    Returns
    -------
    DataFrame
        ``user``, ``item`` (int64 or text), ``rating`` (float64) and, where present, ``timestamp`` (numbers as they
        are, dates as Unix seconds), in file order.

    Raises
    ------
    InputError
        For a file that is missing, empty or of another layout, and for the first bad line, with its number.
    """
    layout: dict[str, Any] = {"columns": columns, "separator": separator, "header": header, "encoding": encoding}
    return merge_repeats(parse_ratings(path, **layout, implicit=implicit), how_to_merge(duplicates, implicit))[0]


def parse_ratings(
    path: str | Path,
    *,
    columns: Columns | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    implicit: bool = False,
    padded_ids: bool = True,
) -> pd.DataFrame:
    """Read every line of a ratings file, repeats included; parameters and errors as in `read_ratings`.

    `padded_ids=False` skips the search for ids such as ``007`` in files that are known to have none.
    """
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        return checked(path, read_binary(path, columns, implicit=implicit))
    form = sniff(path, columns=columns, separator=separator, header=header, encoding=encoding, implicit=implicit)
    ids = {form.positions["user"], form.positions["item"]}
    text = ids if padded_ids and _has_padded_number(path, form.separator, encoding) else set()
    gathered = None
    while gathered is None:
        gathered = _gather(path, form, encoding, text)
    return pd.DataFrame({role: gathered.pop(role).joined() for role in list(gathered)}, copy=False)


def _gather(path: Path, form: Format, encoding: str, text: set[int]) -> dict[str, _Column] | None:
    """Collect the columns chunk by chunk; None if ids turn out not to be integers, which adds them to `text`."""
    columns = {role: _Column() for role in {**form.positions, "rating": None}}
    ids = {form.positions["user"], form.positions["item"]}
    kinds_of_time: set[bool] = set()
    n_lines, has_blank_end = 0, False
    for fields in _chunks(path, form, encoding, text):
        if other := {i for i in ids - text if fields[i].dtype.kind != "i"}:  # "x", "1.50", "True", 2**63
            text |= other
            return None
        found = {role: fields[i] for role, i in form.positions.items()}
        raw = pd.DataFrame({"rating": 1.0, **found}, copy=False)  # a choice without a rating counts 1
        kinds_of_time |= {raw[role].dtype.kind in "iuf" for role in raw if role == "timestamp"}
        chunk = with_seconds(raw)
        if len(kinds_of_time) > 1 or not is_sound(chunk):
            raise _bad_line(path, form, encoding, "its values do not fit their columns")
        for role, column in columns.items():
            column.add(chunk[role])
            if not column.is_sound:
                raise _bad_line(path, form, encoding, f"a {role} is too long, or several lines")
        has_blank_end |= has_blanks(fields[form.n_fields - 1])
        n_lines += len(fields)
    # pandas fills up lines that are too short, so a blank end is suspect.
    is_suspect = (has_blank_end or _DROPS_SURPLUS) and not _is_complete(path, form, encoding, n_lines)
    if is_suspect and (problem := first_problem(path, form, encoding)):
        raise InputError(problem)
    return columns


def _is_complete(path: Path, form: Format, encoding: str, n_lines: int) -> bool:
    """Whether there are as many separators as lines without quotes need, none of which has too many."""
    n_separators = 0
    with reading(path, "bytes") as handle:
        while block := handle.read(_BLOCK_BYTES):
            if b'"' in block or not _extends_ascii(encoding):
                return False
            n_separators += block.count(form.separator[0].encode())
    return n_separators == (n_lines + bool(form.names)) * (form.n_fields - 1) * len(form.separator)


class _Column:
    """One column that grows chunk by chunk: numbers as they are, text as positions among the distinct texts."""

    def __init__(self) -> None:
        self._values: NDArray[Any] = np.empty(0, np.int64)
        self._n = 0
        self._places: dict[str, int] = {}
        self.is_sound = True  # no text in it is as long as none should be, or several lines

    def add(self, column: pd.Series) -> None:
        """Append the entries of the next chunk."""
        if column.dtype.kind in "iuf":
            self._append(column.to_numpy(np.int64 if column.dtype.kind == "i" else np.float64))
            return
        positions, texts = pd.factorize(column)
        n_before = len(self._places)
        places = [self._places.setdefault(text, len(self._places)) for text in texts]
        new = islice(self._places, n_before, None)
        self.is_sound &= not any(len(text) > LONGEST_ID or "\n" in text or "\r" in text for text in new)
        self._append(np.array(places, np.int32)[positions])

    def _append(self, piece: NDArray[Any]) -> None:
        if piece.dtype != self._values.dtype and (self._n == 0 or piece.dtype == np.float64):
            self._values = self._values.astype(piece.dtype)
        start, self._n = self._n, self._n + len(piece)
        if self._n > len(self._values):  # the system moves large arrays by their page table: nothing is copied
            self._values.resize(self._n + start // 8, refcheck=False)
        self._values[start : self._n] = piece

    def joined(self) -> Any:
        """Return the whole column; text that is plainly integers becomes int64."""
        self._values.resize(self._n, refcheck=False)
        if not self._places:
            return self._values
        labels = list(self._places)
        is_plain = all(map(_is_plain, labels))
        return np.array(labels, np.int64)[self._values] if is_plain else spread(labels, self._values)


def _is_plain(text: str) -> bool:
    """Whether an id is written as int64 prints it: no padding, no sign but a minus, not too long."""
    return bool(_INTEGER.fullmatch(text)) and -(2**63) <= int(text) < 2**63


def _chunks(path: Path, form: Format, encoding: str, text: set[int]) -> Iterator[pd.DataFrame]:
    """Yield `_CHUNK_LINES` lines at a time as columns 0 … n_fields - 1; those in `text` as they are written."""
    step = len(form.separator)
    inner = {i: [""] for i in range(step * form.n_fields - step + 1) if i % step}  # between the colons of "::"
    options: dict[str, Any] = {
        "sep": form.separator[0],
        "names": range(step * form.n_fields - step + 1),
        "na_values": inner,
        "dtype": {step * i: str for i in text},
        "quoting": csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
    }
    try:
        with reading(path, encoding) as handle, pd.read_csv(
            handle, header=None, skiprows=form.skip, keep_default_na=False, low_memory=False,
            skipinitialspace=True, encoding=encoding, chunksize=_CHUNK_LINES, **options,
        ) as chunks:  # fmt: skip
            for fields in chunks:
                if fields[list(inner)].notna().to_numpy().any():
                    raise _bad_line(path, form, encoding, "a single ':' inside a field; use another separator")
                yield fields[range(0, step * form.n_fields, step)].set_axis(range(form.n_fields), axis=1)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _bad_line(path, form, encoding, str(error).strip()) from error


def _bad_line(path: Path, form: Format, encoding: str, otherwise: str) -> InputError:
    problem = first_problem(path, form, encoding)
    return InputError(problem or f"{path} cannot be read as a table separated by {form.separator!r}: {otherwise}")


def _has_padded_number(path: Path, separator: str, encoding: str) -> bool:
    """Whether any field in the file begins like ``01``, ``-0`` or ``+``."""
    if not _extends_ascii(encoding):
        return True  # bytes say nothing: the text has to be compared
    before = np.frombuffer((separator[-1] + '\n\r" ').encode(), np.uint8)
    is_start = np.zeros(256, bool)
    is_start[before] = True
    tail = np.frombuffer(b"\n", np.uint8)  # the file begins like a line
    with reading(path, "bytes") as handle:
        while chunk := handle.read(_BLOCK_BYTES):
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
            data = np.concatenate([tail, np.frombuffer(chunk, np.uint8)])
            first, second = data[1:-1], data[2:]
            padded = (first == ord("0")) & (second >= ord("0")) & (second <= ord("9"))
            odd = padded | (first == ord("+")) | ((first == ord("-")) & (second == ord("0")))
            if is_start[data[:-2][odd]].any():
                return True
            tail = data[-2:]
    return False


def _extends_ascii(encoding: str) -> bool:
    return "\n0".encode(encoding) == b"\n0"
