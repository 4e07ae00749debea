"""Ratings from binary tables: NumPy's ``.npz``, and Parquet where pyarrow is installed.

Text is slow to read because every number has to be recognised again. A binary table holds the columns as they are in
memory. An ``.npz`` may be written by hand, ``np.savez("ratings.npz", user=..., item=..., rating=...)``, and is what the
cache writes, in two ways smaller than the columns in memory:

- numbers have the narrowest type that holds them exactly (ids int32, half stars float32);
- text is stored once per distinct id: ``user`` holds positions, ``user_text`` all ids as UTF-8 in a row, ``user_ends``
  where each one ends.

Nothing in it is pickled, so that a file from somebody else is data and not a program.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch.readers.files import check_file, check_growth
from nmf_scratch.readers.sniffing import GUESSED, Layout, locate

Array = NDArray[Any]

SUFFIXES = (".npz", ".parquet")
"""Files with these endings are binary tables."""

_DAMAGE = (OSError, ValueError, LookupError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
"""What NumPy and zipfile raise for a file that is not what it should be."""


def read_binary(path: Path, layout: Layout = GUESSED) -> pd.DataFrame:
    """Read a binary table of ratings.

    Parameters
    ----------
    path : Path
        An ``.npz`` with one array per column, or a ``.parquet``.
    layout : Layout
        Of which the names of the columns count, and whether a rating need not be there, and is then 1 a row.

    Returns
    -------
    DataFrame
        ``user``, ``item`` (int64 or text), ``rating`` (float64) and perhaps ``timestamp``; rows are not checked.

    Raises
    ------
    InputError
        For a file that is missing or damaged, ids of another type, a missing column, or Parquet without pyarrow.
    """
    check_file(path)
    read = _read_npz if path.suffix.lower() == ".npz" else _read_parquet
    table = read(path, layout)
    if "rating" not in table:
        table.insert(2, "rating", 1.0)
    for name in ("user", "item"):
        if table[name].dtype.kind != "i" and pd.api.types.infer_dtype(table[name], skipna=True) != "string":
            raise InputError(f"{path}: {name} must be integers or text, got {table[name].dtype}; convert it")
    if table["rating"].dtype.kind != "f":
        table["rating"] = pd.to_numeric(table["rating"], errors="coerce").astype(np.float64)
    return table


def write_npz(file: IO[bytes], ratings: pd.DataFrame, **extra: Array) -> None:
    """Write a table of ratings, and whatever else, so that `read_binary` finds it unchanged; `members` names it all."""
    arrays = extra
    for name in ratings:
        arrays |= _packed(str(name), ratings[name])
    members = np.array(sorted([*arrays, "members"]))
    np.savez(file, members=members, **arrays)  # type: ignore[arg-type]


# --- npz ------------------------------------------------------------------------------------------------------------


def _read_npz(path: Path, layout: Layout) -> pd.DataFrame:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            check_growth(path, sum(member.file_size for member in arrays.zip.infolist()), path.stat().st_size)
            names = tuple(arrays.files)
            places = locate(path, layout, names)
            table = {role: unpack(arrays, names[place]) for role, place in places.items()}
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path} is no complete .npz of plain arrays ({error}); write it again") from error
    lengths = {role: len(column) for role, column in table.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"{path} holds columns of different lengths: {lengths}; write it again")
    return pd.DataFrame(table, copy=False)


def unpack(arrays: Any, name: str) -> Any:
    """Read one column of an open .npz: int64, float64 or text."""
    column = arrays[name]
    if f"{name}_text" in arrays:
        text, ends = arrays[f"{name}_text"].tobytes(), arrays[f"{name}_ends"].tolist()
        return spread([text[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True)], column)
    return widened(column)


def spread(labels: list[str], positions: Array) -> pd.Series:
    """Make a column of text out of its distinct labels and the position of each entry among them."""
    return pd.Series(labels).take(positions).reset_index(drop=True)


def widened(column: Array) -> Array:
    """Bring numbers to int64 or float64."""
    if column.dtype.kind == "u" and column.max(initial=0) > np.iinfo(np.int64).max:
        return column.astype(str)
    kinds = {"i": np.int64, "u": np.int64, "f": np.float64}
    return column.astype(kinds.get(column.dtype.kind, column.dtype), copy=False)


def _packed(name: str, column: pd.Series) -> dict[str, Array]:
    if column.dtype.kind in "if":
        return {name: narrowed(column.to_numpy())}
    positions, distinct = pd.factorize(column)
    texts = [text.encode() for text in distinct]
    ends = np.cumsum([len(text) for text in texts])
    joined = np.frombuffer(b"".join(texts), np.uint8)
    return {name: narrowed(positions), f"{name}_text": joined, f"{name}_ends": ends}


def narrowed(column: Array) -> Array:
    """Return the numbers in half as many bytes if all survive it."""
    with np.errstate(over="ignore"):
        narrow: Array = column.astype(np.int32 if column.dtype.kind == "i" else np.float32)
    return narrow if np.array_equal(narrow, column) else column


# --- Parquet --------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, layout: Layout) -> pd.DataFrame:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        remedy = 'install it with pip install "nmf-scratch[parquet]", or give the ratings as text or .npz'
        raise InputError(f"{path} is a Parquet file, which needs pyarrow: {remedy}") from error
    try:
        names = tuple(parquet.read_schema(path).names)
        places = locate(path, layout, names)
        check_growth(path, 8 * len(places) * parquet.read_metadata(path).num_rows, path.stat().st_size)
        table = parquet.read_table(path, columns=[names[place] for place in places.values()])
    except (ArrowException, OSError) as error:
        raise InputError(f"{path} is no complete Parquet file ({error}); write it again") from error
    arrays = {role: table.column(names[place]).to_pandas() for role, place in places.items()}
    return pd.DataFrame({role: _plain(column) for role, column in arrays.items()}, copy=False)


def _plain(column: pd.Series) -> Any:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    return widened(column.to_numpy()) if column.dtype.kind in "iuf" else column
