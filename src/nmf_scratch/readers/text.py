r"""Ratings from delimited text: fast when the file is right, exact about the line when it is not.

Real files come as ``196\t242\t3\t881250949``, as ``1::1193::5::978300760``, as ``"276725";"034545104X";"0"``, with
or without a header, compressed or not. A file is read in three steps:

1. *Sniff* the first lines (`nmf_scratch.readers.sniffing`): separator, header, the position of each column.
2. *Parse* chunk by chunk with the C parser of pandas. It knows only single-character separators, but ``::`` is merely
   ``:`` with an empty column in between, which is ten times faster than the parser pandas has for ``::``.
3. *Check* the columns of each chunk. Only if a check fails is the file walked line by line, to name the bad lines or
   to leave them out (`nmf_scratch.readers.bad_lines`).

Chunks keep the memory near that of the result, and are faster than one large bite: what the parser works on stays
in the processor's cache. Ids keep their meaning: integers stay integers, but ``0001234567`` (an ISBN) is text, because
its zeros belong to it. Where ids are text, each distinct one is kept once while reading, and a number for each line.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch.readers.bad_lines import bad_lines, refusal, without_bad_lines
from nmf_scratch.readers.binary import SUFFIXES, read_binary, spread
from nmf_scratch.readers.files import reading
from nmf_scratch.readers.sniffing import GUESSED, LONGEST_ID, Format, Layout, sniff
from nmf_scratch.readers.table import NOT_KNOWN, checked, has_blanks, is_sound, with_seconds

_CHUNK_LINES = 2**17  # some 20 MB in pandas' hands; larger ones are slower, too
_BLOCK_BYTES = 2**18
_DROPS_SURPLUS = int(pd.__version__.partition(".")[0]) < 3  # a surplus field where a chunk begins, without a word
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def parse_ratings(
    path: str | Path, layout: Layout = GUESSED, *, told: Callable[[str], None] | None = None
) -> pd.DataFrame:
    """Read every line of a ratings file, repeats included.

    Parameters
    ----------
    path : str or Path
        The file; ``.gz``, ``.bz2`` and ``.xz`` are decompressed. ``.npz`` and ``.parquet`` are read as binary tables
        (`nmf_scratch.readers.binary`), for whose layout only `columns` and `implicit` count.
    layout : Layout
    told : callable, optional
        Where given, bad lines are left out, and it is told which; else they are refused.

    Returns
    -------
    DataFrame
        ``user``, ``item`` (int64 or text), ``rating`` (float64) and, where present, ``timestamp`` (numbers as they
        are, dates as Unix seconds), in file order.

    Raises
    ------
    InputError
        For a file that is missing, empty or of another layout, and for bad lines, with their numbers.
    """
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        return checked(path, read_binary(path, layout), told)
    form = sniff(path, layout)
    try:
        return _parse(path, form, layout.padded_ids)
    except _BadLines as bad:
        if told is None:
            raise refusal(path, form, str(bad)) from bad.__cause__
    with without_bad_lines(path, form, told) as (copy, its_form):
        try:
            return _parse(copy, its_form, layout.padded_ids)
        except _BadLines as bad:  # no line by itself is
            raise InputError(f"{path} cannot be read without its bad lines either: {bad}") from bad.__cause__


class _BadLines(Exception):
    """The parser has met something that it cannot read, or that makes no sense."""


def _parse(path: Path, form: Format, padded_ids: bool) -> pd.DataFrame:
    """Read a file that is laid out as said; raise `_BadLines` if it is not."""
    if form.surplus:  # pandas takes it for row labels, without a word
        raise _BadLines("its first line of data has more fields than its first line")
    ids = {form.positions["user"], form.positions["item"]}
    text = ids if padded_ids and _has_padded_number(path, form) else set()
    gathered = None
    while gathered is None:
        gathered = _gather(path, form, text)
    return pd.DataFrame({role: gathered.pop(role).joined() for role in list(gathered)}, copy=False)


def _gather(path: Path, form: Format, text: set[int]) -> dict[str, _Column] | None:
    """Collect the columns chunk by chunk; None if ids turn out not to be integers, which adds them to `text`."""
    columns = {role: _Column(role in form.known) for role in {**form.positions, "rating": None}}
    ids = {form.positions["user"], form.positions["item"]}
    kinds_of_time: set[bool] = set()
    n_lines, has_blank_end = 0, False
    for fields in _chunks(path, form, text):
        if other := {i for i in ids - text if fields[i].dtype.kind != "i"}:  # "x", "1.50", "True", 2**63
            text |= other
            return None
        found = {role: fields[i] for role, i in form.positions.items()}
        raw = pd.DataFrame({"rating": 1.0, **found}, copy=False)  # a choice without a rating counts 1
        kinds_of_time |= {raw[role].dtype.kind in "iuf" for role in raw if role == "timestamp"}
        chunk = with_seconds(raw)
        if len(kinds_of_time) > 1 or not is_sound(chunk):
            raise _BadLines("its values do not fit their columns")
        for role, column in columns.items():
            column.add(chunk[role])
            if not column.is_sound:
                raise _BadLines(f"a {role} is too long, several lines, or not known")
        has_blank_end |= has_blanks(fields[form.n_fields - 1])
        n_lines += len(fields)
    if not n_lines:
        raise _BadLines("no line of data is found")
    # pandas fills up lines that are too short, so a blank end is suspect.
    is_suspect = (has_blank_end or _DROPS_SURPLUS) and not _is_complete(path, form, n_lines)
    if is_suspect and bad_lines(path, form):
        raise _BadLines("a line is too short or too long")
    return columns


def _is_complete(path: Path, form: Format, n_lines: int) -> bool:
    """Whether there are as many separators as lines without quotes need, none of which has too many."""
    n_separators = 0
    with reading(path, "bytes") as handle:
        while block := handle.read(_BLOCK_BYTES):
            if b'"' in block or not _extends_ascii(form.encoding):
                return False
            n_separators += block.count(form.separator[0].encode())
    return n_separators == (n_lines + bool(form.names)) * (form.n_fields - 1) * len(form.separator)


class _Column:
    """One column that grows chunk by chunk: numbers as they are, text as positions among the distinct texts."""

    def __init__(self, known: bool = False) -> None:
        self._refused = NOT_KNOWN if known else frozenset()
        self._values: NDArray[Any] = np.empty(0, np.int64)
        self._n = 0
        self._places: dict[str, int] = {}
        self.is_sound = True  # each text in it can be an id

    def add(self, column: pd.Series) -> None:
        """Append the entries of the next chunk."""
        if column.dtype.kind in "iuf":
            self._append(column.to_numpy(np.int64 if column.dtype.kind == "i" else np.float64))
            return
        positions, texts = pd.factorize(column)
        n_before = len(self._places)
        places = [self._places.setdefault(text, len(self._places)) for text in texts]
        new = islice(self._places, n_before, None)
        self.is_sound &= not any(
            len(text) > LONGEST_ID or "\n" in text or "\r" in text or text in self._refused for text in new
        )
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


def _chunks(path: Path, form: Format, text: set[int]) -> Iterator[pd.DataFrame]:
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
        with reading(path, form.encoding) as handle, pd.read_csv(
            handle, header=0 if form.names else None, keep_default_na=False, low_memory=False, decimal=form.decimal,
            skipinitialspace=True, encoding=form.encoding, chunksize=_CHUNK_LINES, **options,
        ) as chunks:  # fmt: skip
            for fields in chunks:
                if fields[list(inner)].notna().to_numpy().any():
                    raise _BadLines("a single ':' inside a field; use another separator")
                yield fields[range(0, step * form.n_fields, step)].set_axis(range(form.n_fields), axis=1)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _BadLines(str(error).strip()) from error


def _has_padded_number(path: Path, form: Format) -> bool:
    """Whether any field in the file begins like ``01``, ``-0`` or ``+``."""
    if not _extends_ascii(form.encoding):
        return True  # bytes say nothing: the text has to be compared
    before = np.frombuffer((form.separator[-1] + '\n\r" ').encode(), np.uint8)
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
