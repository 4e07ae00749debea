"""Factors as tables for other tools: one of users, one of items, as CSV or Parquet.

    user_factors    user, bias, factor_0, factor_1, …                  one row per user, in the order of `user_ids_`
    item_factors    item, title (where known), bias, factor_0, …      one row per item, in the order of `item_ids_`

A prediction is the user's bias, plus the item's, plus the sum of the products of their factors; clip it to the rating
scale. factor_f is column f of `W_` and `H_`. Numbers lose nothing: CSV has as many digits as bring back the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pandas as pd

from nmf_scratch._archive import replacing
from nmf_scratch._check import InputError, check_choice
from nmf_scratch.fitted.state import Fitted

FORMATS = ("csv", "parquet")

ROWS = 50_000
"""Rows written at once: the table of a large model never exists as a whole."""

Progress = Callable[[int, int], None]
"""Is told of the bytes of factors that were written, and how many there are."""


def export_factors(
    fitted: Fitted,
    folder: str | Path,
    *,
    format: str = "csv",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the factors and biases of a fitted model to two tables.

    Parameters
    ----------
    fitted : Fitted
        Of a model, its `fitted_`.
    folder : str or Path
        Where to; made if need be.
    format : {"csv", "parquet"}
        Also what the names of the files end in. Parquet needs pyarrow.
    overwrite : bool
        Whether files that exist are replaced.
    progress : callable, optional
        Called as progress(done, total), in bytes of factors.

    Returns
    -------
    list of Path
        The files of users and of items. Either both are written, or what was there stays as it was.

    Raises
    ------
    InputError
        If a file exists, the format is unknown, or pyarrow is missing.
    """
    check_choice("format", format, FORMATS)
    if format == "parquet":
        _require_pyarrow()
    write = {"csv": _write_csv, "parquet": _write_parquet}[format]
    sides = {
        "user": (fitted.user_ids, fitted.W, fitted.user_bias, None),
        "item": (fitted.item_ids, fitted.H, fitted.item_bias, fitted.titles),
    }
    paths = [Path(folder) / f"{name}_factors.{format}" for name in sides]
    if (existing := [str(path) for path in paths if path.exists()]) and not overwrite:
        raise InputError(f"{existing[0]!r} exists: overwrite it (overwrite=True, --overwrite), or name another folder")
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as both:
        files = [both.enter_context(replacing(path)) for path in paths]
        tell = _counter(fitted.W.nbytes + fitted.H.nbytes, progress)
        for file, (name, side) in zip(files, sides.items(), strict=True):
            write(file, _pieces(name, *side, tell))
    return paths


def _counter(total: int, progress: Progress | None) -> Callable[[int], None]:
    """Return what adds up the bytes that it is told of, and passes the sum on."""
    done = 0

    def tell(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        if progress is not None:
            progress(done, total)

    return tell


def _pieces(
    name: str, ids: Any, factors: Any, bias: Any, titles: Any, tell: Callable[[int], None]
) -> Iterator[pd.DataFrame]:
    """Yield a table piece by piece."""
    labels = [f"factor_{f}" for f in range(factors.shape[1])]
    for first in range(0, len(factors), ROWS):
        rows = slice(first, first + ROWS)
        table = pd.DataFrame(factors[rows], columns=labels)
        table.insert(0, "bias", bias[rows].astype(factors.dtype))
        if titles is not None:
            table.insert(0, "title", titles.iloc[rows].astype(object).fillna("").to_numpy())
        table.insert(0, name, ids[rows])
        yield table
        tell(factors[rows].nbytes)


def _write_csv(file: IO[bytes], pieces: Iterator[pd.DataFrame]) -> None:
    for number, table in enumerate(pieces):
        file.write(table.to_csv(index=False, header=number == 0, lineterminator="\n").encode())


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        remedy = 'install it with pip install "nmf-scratch[parquet]", or export to CSV'
        raise InputError(f"format='parquet' needs pyarrow: {remedy}") from error


def _write_parquet(file: IO[bytes], pieces: Iterator[pd.DataFrame]) -> None:
    from pyarrow import Table, parquet

    with ExitStack() as closing:
        writer = None
        for table in pieces:
            content = Table.from_pandas(_with_plain_ids(table), preserve_index=False)
            writer = writer or closing.enter_context(parquet.ParquetWriter(file, content.schema))
            writer.write_table(content)


def _with_plain_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Give ids that are Python objects of several types, or integers beyond 64 bits, as text: a column has one type."""
    ids = table.iloc[:, 0]
    if ids.dtype == object and not all(isinstance(label, str) for label in ids):
        table[ids.name] = ids.astype(str)
    return table
