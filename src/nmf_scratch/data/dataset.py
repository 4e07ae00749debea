"""What a data source gives: a table of ratings in its own ids, and whatever else is known about users and items.

A `Dataset` is raw: ids are those of the file, nothing is encoded, sorted or split. Encoding (`LabelEncoder`), the
compressed views (`Ratings`) and the folds come afterwards, so that everything printed for people is in their own ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmf_scratch._check import InputError

PAIR = ("user", "item")
REQUIRED = (*PAIR, "rating")
"""The columns that every ratings table has; `timestamp` (Unix seconds) is optional."""


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Ratings with their users, items and provenance.

    Attributes
    ----------
    name : str
        Short name, as in ``ml-100k``.
    ratings : DataFrame
        Columns ``user``, ``item``, ``rating`` (float64, in the file's own unit, stars as a rule; of choices without
        ratings, how often) and, where known, ``timestamp``. One row per (user, item) pair, in file order.
    users : DataFrame or None
        Column ``user`` and what is known of each (``age``, ``gender``, ``occupation``, ``zip``, …).
    items : DataFrame or None
        Column ``item`` and what is known of each: ``title``, ``year`` (nullable Int64), ``genres`` (separated by ``|``,
        empty if none), ….
    citation, licence : str
        What to cite, and under which terms the data may be used.
    n_duplicates : int
        Repeated (user, item) pairs that were merged, see `load_dataset`.
    test_fold : ndarray of int8, shape (n_ratings,), or None
        Which of the published folds (0 for u1 … 4 for u5) holds each rating out.
    source : str
        The file or folder that was read, or ``"generated"``.
    """

    name: str
    ratings: pd.DataFrame
    users: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    citation: str = ""
    licence: str = ""
    n_duplicates: int = 0
    test_fold: np.ndarray | None = None
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse tables that lack the columns they promise."""
        _require(self.name, "ratings", self.ratings, REQUIRED)
        _require(self.name, "users", self.users, ("user",))
        _require(self.name, "items", self.items, ("item",))
        if self.test_fold is not None and len(self.test_fold) != len(self.ratings):
            raise InputError(f"test_fold has {len(self.test_fold)} entries for {len(self.ratings)} ratings")

    @property
    def n_ratings(self) -> int:
        """Number of ratings."""
        return len(self.ratings)

    @property
    def n_users(self) -> int:
        """Number of users who rated something."""
        return int(self.ratings["user"].nunique())

    @property
    def n_items(self) -> int:
        """Number of items that were rated."""
        return int(self.ratings["item"].nunique())

    def __repr__(self) -> str:
        """Name and size: the tables themselves would fill the screen."""
        return f"Dataset({self.name!r}: {self.n_ratings:,} ratings, {self.n_users:,} users, {self.n_items:,} items)"


def _require(dataset: str, table: str, frame: pd.DataFrame | None, columns: tuple[str, ...]) -> None:
    missing = [] if frame is None else [column for column in columns if column not in frame.columns]
    if frame is not None and missing:
        found = ", ".join(map(str, frame.columns))
        raise InputError(f"{table} of {dataset!r} lacks column {', '.join(missing)}; it has {found}: rename or add")
