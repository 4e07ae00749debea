"""`load_dataset`: any data set, by its name or by its path.

A name is looked up in the data directory, first as an unpacked folder, then as a zip archive, and only then fetched
(`nmf_scratch.readers.catalogue`). A path is read as it is: a MovieLens folder, a delimited file, a binary table, or a
zip archive of one of them.
"""

from __future__ import annotations

import difflib
import logging
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nmf_scratch._check import InputError
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.synthetic import make_demo
from nmf_scratch.readers.cache import read_merged
from nmf_scratch.readers.catalogue import CATALOGUE, DataUnavailable, Report, by_hand, default_data_dir, download
from nmf_scratch.readers.files import unzip
from nmf_scratch.readers.movielens import Reader, read_file, read_folder
from nmf_scratch.readers.sniffing import GUESSED, Columns, Layout
from nmf_scratch.readers.table import how_to_merge

_LOG = logging.getLogger("nmf_scratch")


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    data_dir: str | Path | None = None,
    download: bool = True,
    columns: Columns | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    items: str | Path | None = None,
    users: str | Path | None = None,
    report: Report | None = None,
    cache: bool = True,
    implicit: bool = False,
    duplicates: str | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Load a data set by its name in `CATALOGUE`, or from a file, folder or zip archive.

    Parameters
    ----------
    name_or_path : str or path
        ``"demo"``, ``"ml-100k"``, …, or a path: a delimited file, a MovieLens folder, or a zip archive of either; a
        binary table (``.npz``, or ``.parquet`` where pyarrow is installed).
    data_dir : str or Path, optional
        Where named data sets are looked for and kept; default `default_data_dir`.
    download : bool
        Whether a named data set that is not there may be fetched.
    columns : mapping, optional
        ``user``, ``item``, ``rating`` (and ``timestamp``) to a header name or a position from 0. By default the
        header is searched for well-known names, else the first three or four columns are taken in this order.
    separator : str, optional
        One character or ``"::"``; by default whichever of ``::``, tab, ``,``, ``;``, ``|`` fits the first lines.
    header : bool, optional
        Whether the first line names the columns; by default it does when nothing in it is a number.
    encoding : str
        Of the text, as in ``"latin-1"``.
    decimal : {".", ","}
        What stands before the fraction of a number, as in ``4,5``.
    items, users : str or Path, optional
        Tables with a header about the items and users of a delimited file.
    report : callable, optional
        Receives each notice (licence, what is fetched); the package's logger by default.
    cache : bool
        Whether large text files (from 5 MB) leave a binary copy in the folder ``cache`` of the data directory, and are
        read from it the next time. Without a data directory that can be written there is none.
    implicit : bool
        Whether a file holds choices (clicks, plays, purchases): a rating need not be there and is then 1 a line.
    duplicates : {"last", "sum", "mean"}, optional
        What becomes of repeated (user, item) pairs: the last counts (by time, then by line), as by default of ratings,
        or their numbers are added up, as by default of choices, or averaged.
    skip_bad : bool
        Whether lines that cannot be read are left out, which `report` is told; else they are refused.

    Returns
    -------
    Dataset
        Ratings in their own ids, with users and items where known.

    Raises
    ------
    InputError
        For an unknown name, a path that cannot be read, or a bad line in it.
    DataUnavailable
        For a known name whose data cannot be had.
    """
    folder = Path(data_dir or default_data_dir())
    merge = how_to_merge(duplicates, implicit)
    told = (report or _LOG.warning) if skip_bad else None
    read = partial(read_merged, cache=folder / "cache" if cache else None, duplicates=merge, told=told)
    layout = Layout(columns, separator, header, encoding, decimal, implicit)
    if isinstance(name_or_path, str) and name_or_path in CATALOGUE:
        _refuse_given(layout, items, users, name_or_path)
        return _load_named(name_or_path, folder, download, report, read)
    path = Path(name_or_path).expanduser()
    if not path.exists():
        raise InputError(_unknown(str(name_or_path)))
    if path.is_dir():
        _refuse_given(layout, items, users, str(path))
        return read_folder(path, path.resolve().name, read, encoding)
    read_path = _read_zip if path.suffix.lower() == ".zip" else read_file
    return read_path(path, layout, items=items, users=users, read=read)


def _load_named(name: str, data_dir: Path, may_download: bool, report: Report | None, read: Reader) -> Dataset:
    if name == "demo":
        return make_demo()
    folder, archive = data_dir / name, data_dir / f"{name}.zip"
    if folder.is_dir():
        return read_folder(folder, name, read)
    if archive.is_file():
        return _unpack_and_read(archive, folder, read)
    if not may_download:
        raise DataUnavailable(f"{name} is not in {data_dir}: {by_hand(CATALOGUE[name], folder)}")
    return read_folder(download(name, data_dir, report=report), name, read)


def _unpack_and_read(archive: Path, folder: Path, read: Reader) -> Dataset:
    try:
        unzip(archive, folder)
    except OSError:  # the data directory cannot be written: nothing is kept
        return _read_zip(archive, read=read)
    return read_folder(folder, folder.name, read)


def _read_zip(
    archive: Path,
    layout: Layout = GUESSED,
    *,
    items: str | Path | None = None,
    users: str | Path | None = None,
    read: Reader,
) -> Dataset:
    """Read an archive through a temporary folder: a MovieLens layout, or one delimited file."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = unzip(archive, Path(scratch) / archive.stem)
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "__MACOSX" not in file.parts]
        if len(files) == 1:
            dataset = read_file(files[0], layout, items=items, users=users, read=read)
        else:
            _refuse_given(layout, items, users, str(archive))
            dataset = read_folder(folder, read=read, encoding=layout.encoding)
    return replace(dataset, name=archive.stem, source=str(archive))


def _refuse_given(layout: Layout, items: Any, users: Any, name: str) -> None:
    """Refuse options of a single file for data whose layout is known: they would have no effect."""
    known = Layout(encoding=layout.encoding, implicit=layout.implicit)
    given = [option for option in Layout._fields if getattr(layout, option) != getattr(known, option)]
    if given := given + [option for option, value in {"items": items, "users": users}.items() if value is not None]:
        raise InputError(
            f"{' and '.join(given)} can be said of a single file, and {name} has a layout of its own: leave them out, "
            "or give the file of ratings in it"
        )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), CATALOGUE, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"dataset {name!r} is neither a known name{hint} nor an existing path; known: {', '.join(CATALOGUE)}"
