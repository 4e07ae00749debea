r"""Ratings from delimited text: fast when the file is right, exact about the line when it is not.

Real files come as ``196\t242\t3\t881250949``, as ``1::1193::5::978300760``, as ``"276725";"034545104X";"0"``, with
or without a header, compressed or not. A file is read in three steps:

1. *Sniff* the first lines (`nmf_scratch.data.formats`): separator, header, the position of each column.
2. *Parse* everything at once with the C parser of pandas. It knows only single-character separators, but ``::`` is
   merely ``:`` with an empty column in between, which is ten times faster than the parser pandas has for ``::``.
3. *Check* whole columns. Only if a check fails is the file walked line by line, to name the line.

Cost: one pass; a million ratings take a fraction of a second. Ids keep their meaning: integers stay integers, but
``0001234567`` (an ISBN) is text, because its zeros belong to it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nmf_scratch._check import InputError
from nmf_scratch.data.files import reading
from nmf_scratch.data.formats import Columns, Format, first_problem, sniff

_CHUNK_BYTES = 2**24


def read_ratings(
    path: str | Path,
    *,
    columns: Columns | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
) -> pd.DataFrame:
    r"""Read a delimited file of ratings, one row per (user, item) pair.

    Parameters
    ----------
    path : str or Path
        The file; ``.gz``, ``.bz2`` and ``.xz`` are decompressed.
    columns : mapping, optional
        ``user``, ``item``, ``rating`` (and ``timestamp``) to a header name or a position from 0. By default the
        header is searched for well-known names, else the first three or four columns are taken in this order.
    separator : str, optional
        One character or ``"::"``; by default whichever of ``::``, tab, ``,``, ``;``, ``|`` fits the first lines.
    header : bool, optional
        Whether the first line names the columns; by default it does when nothing in it is a number.
    encoding : str
        Of the text, as in ``"latin-1"``.

    Returns
    -------
    DataFrame
        ``user``, ``item`` (int64 or text), ``rating`` (float64) and, where present, ``timestamp`` (numbers as they
        are, dates as Unix seconds), in file order. Repeated pairs are merged by `merge_repeats`, which counts them.

    Raises
    ------
    InputError
        For a file that is missing, empty or of another layout, and for the first bad line, with its number.
    """
    ratings = parse_ratings(path, columns=columns, separator=separator, header=header, encoding=encoding)
    return merge_repeats(ratings)[0]


def merge_repeats(ratings: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Keep one rating per (user, item): the latest timestamp wins, among equals the later row.

    Returns
    -------
    DataFrame
        The remaining rows in their order, with a fresh RangeIndex.
    int
        How many rows were dropped.
    """
    user, _ = pd.factorize(ratings["user"])
    item, items = pd.factorize(ratings["item"])
    pair = user.astype(np.int64) * len(items) + item
    ordered = np.sort(pair)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return ratings.reset_index(drop=True), 0
    rows = np.flatnonzero(np.isin(pair, repeated))  # a handful as a rule: only they need comparing
    if "timestamp" in ratings:
        rows = rows[np.argsort(ratings["timestamp"].to_numpy()[rows], kind="stable")]
    superseded = rows[pd.Series(pair[rows]).duplicated(keep="last").to_numpy()]
    return ratings.drop(index=ratings.index[superseded]).reset_index(drop=True), len(superseded)


def parse_ratings(
    path: str | Path,
    *,
    columns: Columns | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    padded_ids: bool = True,
) -> pd.DataFrame:
    """Read every line of a ratings file, repeats included; parameters and errors as in `read_ratings`.

    `padded_ids=False` skips the search for ids such as ``007`` in files that are known to have none.
    """
    path = Path(path)
    form = sniff(path, columns=columns, separator=separator, header=header, encoding=encoding)
    fields = _parse(path, form, encoding)
    _restore_ids(path, form, encoding, fields, padded_ids)
    ratings = pd.DataFrame({role: fields[position] for role, position in form.positions.items()})
    if "timestamp" in ratings:
        ratings["timestamp"] = _seconds(ratings["timestamp"])
    if not _sound(ratings):
        raise _bad_line(path, form, encoding, "its values do not fit their columns")
    if _has_blanks(fields[form.n_fields - 1]) and (problem := first_problem(path, form, encoding)):
        raise InputError(problem)  # pandas fills up lines that are too short, so a blank end is suspect
    return ratings.astype({"rating": np.float64})


def _parse(path: Path, form: Format, encoding: str, text: tuple[int, ...] = ()) -> pd.DataFrame:
    """Parse all lines into columns 0 … n_fields - 1; those in `text` are left as they are written."""
    step = len(form.separator)
    inner = {i: [""] for i in range(step * form.n_fields - step + 1) if i % step}  # between the colons of "::"
    options: dict[str, Any] = {
        "sep": form.separator[0],
        "names": range(step * form.n_fields - step + 1),
        "na_values": inner,
        "dtype": {step * i: str for i in text},
        "quoting": csv.QUOTE_NONE if step == 2 else csv.QUOTE_MINIMAL,
    }
    try:
        with reading(path, encoding) as handle:
            fields: pd.DataFrame = pd.read_csv(
                handle, header=None, skiprows=form.skip, keep_default_na=False, low_memory=False,
                skipinitialspace=True, encoding=encoding, **options,
            )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _bad_line(path, form, encoding, str(error).strip()) from error
    if fields[list(inner)].notna().to_numpy().any():
        raise _bad_line(path, form, encoding, "a single ':' inside a field; use another separator")
    fields = fields[range(0, step * form.n_fields, step)]
    return fields.set_axis(range(form.n_fields), axis=1)


def _bad_line(path: Path, form: Format, encoding: str, otherwise: str) -> InputError:
    problem = first_problem(path, form, encoding)
    return InputError(problem or f"{path} cannot be read as a table separated by {form.separator!r}: {otherwise}")


def _restore_ids(path: Path, form: Format, encoding: str, fields: pd.DataFrame, padded_ids: bool) -> None:
    """Read ids again as text where pandas made numbers of what is not plainly an integer; in place."""
    ids = [form.positions["user"], form.positions["item"]]
    whole = [i for i in ids if fields[i].dtype.kind == "i"]
    other = [i for i in ids if fields[i].dtype.kind not in "iO"]  # "1.50", "True", 2**63
    suspects = whole if padded_ids and whole and _has_padded_number(path, form.separator, encoding) else []
    if not other and not suspects:
        return
    text = _parse(path, form, encoding, text=(*other, *suspects))
    for i in other + [i for i in suspects if _n_characters(fields[i]) != sum(map(len, text[i]))]:
        fields[i] = text[i]


def _n_characters(whole: pd.Series) -> int:
    """How many characters it takes to write these integers without padding."""
    values = whole.to_numpy()
    powers = 10 ** np.arange(1, 19, dtype=np.uint64)
    digits = 1 + np.searchsorted(powers, np.abs(values).astype(np.uint64), side="right")
    return int(digits.sum() + np.count_nonzero(values < 0))


def _has_padded_number(path: Path, separator: str, encoding: str) -> bool:
    """Whether any field in the file begins like ``01``, ``-0`` or ``+``."""
    if "\n0".encode(encoding) != b"\n0":
        return True  # not a superset of ASCII, so bytes say nothing: the text has to be compared
    before = np.frombuffer((separator[-1] + '\n\r" ').encode(), np.uint8)
    is_start = np.zeros(256, bool)
    is_start[before] = True
    tail = np.frombuffer(b"\n", np.uint8)  # the file begins like a line
    with reading(path, "bytes") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            data = np.concatenate([tail, np.frombuffer(chunk, np.uint8)])
            first, second = data[1:-1], data[2:]
            padded = (first == ord("0")) & (second >= ord("0")) & (second <= ord("9"))
            odd = padded | (first == ord("+")) | ((first == ord("-")) & (second == ord("0")))
            if is_start[data[:-2][odd]].any():
                return True
            tail = data[-2:]
    return False


def _seconds(timestamp: pd.Series) -> pd.Series:
    """Numbers as they are; dates as Unix seconds (UTC), NaN where neither."""
    if timestamp.dtype.kind in "iuf":
        return timestamp
    moments = pd.to_datetime(timestamp, errors="coerce", utc=True, format="ISO8601")
    if moments.isna().any():
        return pd.Series(np.nan, index=timestamp.index)
    return (moments - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1)


def _sound(ratings: pd.DataFrame) -> bool:
    """Whether ratings are finite and non-negative, times known, and no id is missing."""
    rating = ratings["rating"]
    if rating.dtype.kind not in "iuf" or not np.isfinite(rating).all() or (rating < 0).any():
        return False
    if "timestamp" in ratings and not np.isfinite(ratings["timestamp"]).all():
        return False
    return not (_has_blanks(ratings["user"]) or _has_blanks(ratings["item"]))


def _has_blanks(column: pd.Series) -> bool:
    return bool(column.dtype.kind == "O" and (column == "").any())
