"""Folders in one of the MovieLens layouts, and single files with optional tables beside them, as `Dataset`.

MovieLens changed its files three times, so there are three readers, told apart by the file that holds the ratings:

=============  ==================  ==========================================  ================================
ratings        data sets           items                                       users
=============  ==================  ==========================================  ================================
u.data         ml-100k             u.item, a flag per genre of u.genre         u.user
ratings.dat    ml-1m, ml-10m       movies.dat                                  users.dat (ml-1m only)
ratings.csv    ml-latest, 20m …    movies.csv                                  unknown
=============  ==================  ==========================================  ================================

Any other file of ratings (books, music, products) has no tables unless paths to them are given. Titles are kept as
they are; the year in ``Toy Story (1995)`` is repeated in a column of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nmf_scratch._check import InputError
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.readers.cache import read_merged
from nmf_scratch.readers.files import reading
from nmf_scratch.readers.sniffing import (
    ALIASES,
    GUESSED,
    SEPARATORS,
    Layout,
    are_quoted,
    check_width,
    first_lines,
    plain_name,
    split,
)

GROUPLENS_LICENCE = (
    "GroupLens terms: research use; passing on and commercial use are restricted, as a rule to those with permission; "
    "no implied endorsement (the README that comes with the data counts)"
)
GROUPLENS_CITATION = (
    "F. M. Harper and J. A. Konstan (2015), The MovieLens Datasets: History and Context, "
    "ACM Transactions on Interactive Intelligent Systems 5(4), article 19, https://doi.org/10.1145/2827872"
)

OCCUPATIONS = (
    *("other", "educator", "artist", "clerical/admin", "college/grad student", "customer service", "doctor"),
    *("executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer", "retired"),
    *("sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed"),
    "writer",
)
"""What the codes 0 to 20 of ml-1m's users.dat mean, from its README."""

Reader = Callable[..., tuple[pd.DataFrame, int]]
"""`read_merged`, perhaps with a cache."""

NONE_KNOWN = "unknown"
"""What u.genre calls the lack of a genre."""

_N_FOLDS = 5
_ROLES = {"user": 0, "item": 1, "rating": 2, "timestamp": 3}
_NAMES_OF = {
    "title": ("title", "name", "booktitle", "movietitle", "producttitle", "itemname"),
    "year": ("year", "yearofpublication", "releaseyear", "publicationyear"),
    "genres": ("genres", "genre", "category", "categories", "tags"),
}


def read_file(
    path: Path,
    layout: Layout = GUESSED,
    *,
    items: str | Path | None = None,
    users: str | Path | None = None,
    read: Reader = read_merged,
) -> Dataset:
    """Read one file of ratings, and tables of its items and users where paths are given.

    Errors as in `parse_ratings`. A table needs a header; the column that is named like an item (a user), else its
    first one, holds the ids.
    """
    encoding = layout.encoding
    ratings, n_duplicates = read(path, layout)
    return Dataset(
        name=path.name.split(".")[0] or path.name,
        ratings=ratings,
        users=read_attributes(Path(users), "user", ratings["user"], encoding) if users is not None else None,
        items=_read_items(Path(items), ratings["item"], encoding) if items is not None else None,
        n_duplicates=n_duplicates,
        source=str(path),
    )


def read_folder(folder: Path, name: str | None = None, read: Reader = read_merged, encoding: str = "utf-8") -> Dataset:
    """Read a folder in a MovieLens layout, or one that holds just such a folder; the encoding is that of CSV files.

    Raises
    ------
    InputError
        If no layout is recognised, or a file of it is missing or damaged.
    """
    for place in (folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir())):
        for key_file, reader in _LAYOUTS.items():
            if (place / key_file).is_file():
                return reader(place, name or folder.name, read, encoding)
    raise InputError(
        f"{folder} holds none of {', '.join(_LAYOUTS)}, so it is no MovieLens folder; give the file of ratings itself"
    )


def read_attributes(path: Path, key: str, ids: pd.Series, encoding: str = "utf-8") -> pd.DataFrame:
    """Read a table with a header about users or items; its id column is renamed to `key` and typed like `ids`.

    Raises
    ------
    InputError
        If no id of the table occurs in `ids`: the table is about something else.
    """
    _, head = first_lines(path, encoding)[0]
    separator = max(SEPARATORS[1:], key=lambda s: len(split(head, s)))
    quoted = are_quoted(head, separator)
    names = split(head, separator, quoted=quoted)
    check_width(path, len(names))
    place = next((place for place, name in enumerate(names) if plain_name(name) in ALIASES[key]), 0)
    columns = [f"{name} (column {i + 1})" if name == key or name in names[:i] else name for i, name in enumerate(names)]
    columns[place] = key
    table = _read_table(path, separator, encoding, header=0, names=columns, text=key, quoted=quoted)
    if ids.dtype.kind == "i":  # what is no number cannot match
        numbers = pd.to_numeric(table[key], errors="coerce")
        is_id = numbers.between(-(2.0**63), 2.0**63, inclusive="left") & (numbers == numbers.round())
        table = table.assign(**{key: numbers})[is_id].astype({key: np.int64})
    if not table[key].isin(ids).any():
        raise InputError(
            f"{path}: no {names[place]!r} in it occurs as {key} in the ratings; it has: {', '.join(names)}"
        )
    return table.drop_duplicates(key).reset_index(drop=True)


def _read_items(path: Path, ids: pd.Series, encoding: str) -> pd.DataFrame:
    return _item_table(read_attributes(path, "item", ids, encoding))


def year_of(titles: pd.Series) -> pd.Series:
    """Year of titles such as ``Toy Story (1995)``, the last one in brackets, as nullable Int64."""
    found = titles.str.extract(r".*\((\d{4})(?:[-\u2013]\d{0,4})?\)", expand=False)  # series have a span
    return pd.to_numeric(found).astype("Int64")


# --- the three layouts ----------------------------------------------------------------------------------------------


def _read_100k(folder: Path, name: str, read: Reader, encoding: str) -> Dataset:
    ratings, n_duplicates = read(folder / "u.data", Layout(_ROLES, "\t", header=False, padded_ids=False))
    users = items = None
    if (folder / "u.user").is_file():
        users = _read_table(folder / "u.user", "|", "latin-1", names=["user", "age", "gender", "occupation", "zip"])
    if (folder / "u.item").is_file():
        items = _flagged_items(folder)
    fold = _published_folds(folder, ratings)
    return _movielens(name, folder, ratings, users, items, n_duplicates, fold)


def _read_dat(folder: Path, name: str, read: Reader, encoding: str) -> Dataset:
    ratings, n_duplicates = read(folder / "ratings.dat", Layout(_ROLES, "::", header=False, padded_ids=False))
    users = items = None
    if (folder / "users.dat").is_file():
        # Age is a code, the lower bound of its group (1: under 18, 18: 18 to 24, …, 56: 56 and older).
        users = _double_colon_table(folder / "users.dat", ["user", "gender", "age", "occupation", "zip"])
        users["age"] = _whole_numbers(folder / "users.dat", users["age"])
        codes = _whole_numbers(folder / "users.dat", users["occupation"])
        users["occupation"] = codes.map(dict(enumerate(OCCUPATIONS))).fillna("other")
        users = users[["user", "age", "gender", "occupation", "zip"]]
    if (folder / "movies.dat").is_file():
        items = _double_colon_table(folder / "movies.dat", ["item", "title", "genres"])
    return _movielens(name, folder, ratings, users, items, n_duplicates)


def _read_csv(folder: Path, name: str, read: Reader, encoding: str) -> Dataset:
    ratings, n_duplicates = read(folder / "ratings.csv", Layout(separator=",", padded_ids=False, encoding=encoding))
    items = None
    if (folder / "movies.csv").is_file():
        items = read_attributes(folder / "movies.csv", "item", ratings["item"], encoding)
    return _movielens(name, folder, ratings, None, items, n_duplicates)


_LAYOUTS: dict[str, Callable[[Path, str, Reader, str], Dataset]] = {
    "u.data": _read_100k,
    "ratings.dat": _read_dat,
    "ratings.csv": _read_csv,
}


def _movielens(
    name: str,
    folder: Path,
    ratings: pd.DataFrame,
    users: pd.DataFrame | None,
    items: pd.DataFrame | None,
    n_duplicates: int,
    test_fold: np.ndarray | None = None,
) -> Dataset:
    items = _item_table(items) if items is not None else None
    terms = (GROUPLENS_CITATION, GROUPLENS_LICENCE)
    return Dataset(name, ratings, users, items, *terms, n_duplicates, test_fold, source=str(folder))


def _item_table(items: pd.DataFrame) -> pd.DataFrame:
    """Bring a table of items to the columns item, title, year, genres and whatever else there is."""
    plain = {plain_name(str(column)): column for column in items.columns if column != "item"}
    found = {role: plain[alias] for role, names in _NAMES_OF.items() for alias in reversed(names) if alias in plain}
    table = items.rename(columns={column: role for role, column in found.items()})
    table["title"] = table["title" if "title" in table else "item"].astype(str)
    known = pd.to_numeric(table["year"], errors="coerce").round() if "year" in table else year_of(table["title"])
    table["year"] = known.where(known.between(-9999, 9999)).astype("Int64")
    known_genres = table["genres"] if "genres" in table else pd.Series("", index=table.index)
    table["genres"] = known_genres.astype(str).replace("(no genres listed)", "")
    leading = ["item", "title", "year", "genres"]
    return table[leading + [column for column in table.columns if column not in leading]]


def _flagged_items(folder: Path) -> pd.DataFrame:
    """Read u.item, whose last 19 fields flag the genres that u.genre names; the first flag says that none is known."""
    genres = _read_table(folder / "u.genre", "|", "latin-1", names=["genre", "number"])["genre"].tolist()
    columns = ["item", "title", "released", "video", "url", *genres]
    table = _read_table(folder / "u.item", "|", "latin-1", names=columns)
    flags = table[genres].to_numpy() == 1  # (n_items, n_genres)
    named = [genre if genre != NONE_KNOWN else None for genre in genres]
    table["genres"] = ["|".join(filter(None, compress(named, row))) for row in flags]
    return table[["item", "title", "genres"]]


def _published_folds(folder: Path, ratings: pd.DataFrame) -> np.ndarray | None:
    """Which of u1 … u5 holds each rating out, shape (n_ratings,); None if the files are not there."""
    files = [folder / f"u{i + 1}.test" for i in range(_N_FOLDS)]
    if not all(file.is_file() for file in files):
        return None
    tests = [_read_table(file, "\t", "ascii", names=["user", "item", "rating", "timestamp"]) for file in files]
    held_out = pd.concat(tests, ignore_index=True)
    fold = pd.Series(
        np.repeat(np.arange(_N_FOLDS, dtype=np.int8), [len(test) for test in tests]),
        index=pd.MultiIndex.from_frame(held_out[["user", "item"]]),
    )
    pairs = pd.MultiIndex.from_frame(ratings[["user", "item"]])
    if len(fold) != len(ratings) or not fold.index.is_unique or not pairs.isin(fold.index).all():
        raise InputError(f"{folder}: u1.test to u5.test do not hold each rating of u.data once; fetch the folder again")
    return fold.loc[pairs].to_numpy()


# --- small tables ---------------------------------------------------------------------------------------------------


def _read_table(
    path: Path,
    separator: str,
    encoding: str,
    *,
    header: int | None = None,
    names: list[str] | None = None,
    text: str = "zip",
    quoted: bool = False,
) -> pd.DataFrame:
    """Read a small table; the column `text` is not turned into numbers."""
    options: dict[str, Any] = {"sep": separator, "header": header, "names": names, "dtype": {text: str}}
    options["index_col"] = False  # not the surplus of a line
    options["quoting"] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        with reading(path, encoding) as handle:
            table: pd.DataFrame = pd.read_csv(
                handle, encoding=encoding, keep_default_na=False, skipinitialspace=True, low_memory=False, **options
            )
            return table
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} is no table separated by {separator!r} ({str(error).strip()}); correct it") from error


def _double_colon_table(path: Path, names: list[str]) -> pd.DataFrame:
    """Read movies.dat or users.dat: UTF-8 in ml-10m, Latin-1 in ml-1m; titles may hold single colons."""
    with reading(path, "latin-1") as handle:
        raw = handle.read()
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        lines = raw.decode("latin-1").splitlines()
    rows = [line.split("::") for line in lines]
    bad = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if bad is not None:
        raise InputError(f"{path}, line {bad + 1}: {len(names)} fields separated by '::' are expected: {lines[bad]!r}")
    table = pd.DataFrame(rows, columns=names)
    return table.assign(**{names[0]: _whole_numbers(path, table[names[0]])})


def _whole_numbers(path: Path, column: pd.Series) -> pd.Series:
    try:
        return column.astype(np.int64)
    except ValueError as error:
        raise InputError(f"{path}: {column.name} must be whole numbers ({error}); correct it") from error
