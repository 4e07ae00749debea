"""What every reader owes its caller: sound columns, times as numbers, and each (user, item) pair once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_choice
from nmf_scratch.data.dataset import PAIR
from nmf_scratch.data.encoder import LabelEncoder

MERGED = {
    "last": "the last of each was kept",
    "sum": "the numbers of each were added up",
    "mean": "the numbers of each were averaged",
}
"""What may become of repeated pairs, and how that is said."""

NOT_KNOWN = frozenset(
    ["NULL", "null", "None", "NaN", "nan", "-NaN", "-nan", "NA", "<NA>", "N/A", "n/a", "#N/A", "#NA", "\\N"]
)
"""What programs write where nothing is known."""

HOW_TO_SKIP = "skip_bad=True (option --skip-bad) leaves out what is bad"


def how_to_merge(duplicates: str | None, implicit: bool) -> str:
    """Return a checked way to merge repeated pairs: as given, else choices are summed, and of ratings the last counts.

    Raises
    ------
    InputError
        If there is no such way.
    """
    how = ("sum" if implicit else "last") if duplicates is None else duplicates
    check_choice("duplicates", how, MERGED)
    return how


def merge_repeats(ratings: pd.DataFrame, how: str = "last") -> tuple[pd.DataFrame, int]:
    """Keep one row per (user, item): that of the latest timestamp, among equals the later one.

    Parameters
    ----------
    ratings : DataFrame
        Columns ``user``, ``item``, ``rating`` and perhaps ``timestamp``.
    how : {"last", "sum", "mean"}
        Which rating it has: its own, or the sum or the mean of those of the same pair.

    Returns
    -------
    DataFrame
        The remaining rows in their order, with a fresh RangeIndex.
    int
        How many rows were dropped.
    """
    pair = _pair_codes(ratings)
    if (pair[1:] > pair[:-1]).all():  # sorted by user and item, as MovieLens' CSV files are
        return ratings.reset_index(drop=True), 0
    pair.sort()
    repeated = pair[1:][pair[1:] == pair[:-1]]
    if not len(repeated):
        return ratings.reset_index(drop=True), 0
    pair = _pair_codes(ratings)
    rows = np.flatnonzero(np.isin(pair, repeated))  # a handful as a rule: only they need comparing
    if "timestamp" in ratings:
        rows = rows[np.argsort(ratings["timestamp"].to_numpy()[rows], kind="stable")]
    repeats = pd.Series(pair[rows])
    superseded = rows[repeats.duplicated(keep="last").to_numpy()]
    if how != "last":
        rating = ratings["rating"].to_numpy(np.float64, copy=True)
        rating[rows] = pd.Series(rating[rows]).groupby(repeats).transform("sum" if how == "sum" else "mean")
        ratings = ratings.assign(rating=rating)
    return ratings.drop(index=ratings.index[superseded]).reset_index(drop=True), len(superseded)


def checked(path: Path, ratings: pd.DataFrame, told: Callable[[str], None] | None = None) -> pd.DataFrame:
    """Check a table that has no lines to name; where somebody is to be told, bad rows are left out."""
    ratings = with_seconds(ratings)
    if is_sound(ratings) and not _are_not_known(ratings["user"]).any():
        return ratings
    problems = _problems(ratings)
    bad = np.any(list(problems.values()), axis=0)
    row = int(np.argmax(bad))
    problem = next(problem for problem, flags in problems.items() if flags[row])
    found = f"{path}: row {row}: {problem} ({bad.sum():,} bad of {len(bad):,})"
    if told is None:
        raise InputError(f"{found}; correct or remove it; {HOW_TO_SKIP}")
    if bad.all():
        raise InputError(f"{found}; none can be read")
    told(f"{found}: left out")
    sound: pd.DataFrame = ratings[~bad]
    return sound.reset_index(drop=True)


def _problems(ratings: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return what no reader lets pass, and which rows it concerns; rows count from 0."""
    rating = ratings["rating"].to_numpy()
    bad = {f"{name} is missing": (ratings[name].isna() | (ratings[name] == "")).to_numpy() for name in PAIR}
    bad["user is NULL, NA or the like: not known"] = _are_not_known(ratings["user"])
    bad |= {"rating is not a finite number": ~np.isfinite(rating), "rating is negative": rating < 0}
    if "timestamp" in ratings:
        bad["timestamp is neither a number nor a date"] = ~np.isfinite(ratings["timestamp"].to_numpy())
    return bad


def _are_not_known(ids: pd.Series) -> NDArray[np.bool_]:
    """Tell which ids are words for none; numbers need not be looked at."""
    return np.zeros(len(ids), bool) if ids.dtype.kind in "iu" else ids.isin(NOT_KNOWN).to_numpy()


def with_seconds(ratings: pd.DataFrame) -> pd.DataFrame:
    """Return ratings as float64, and times as numbers: dates become Unix seconds (UTC), NaN where neither."""
    ratings = ratings.astype({"rating": np.float64}) if ratings["rating"].dtype.kind in "iuf" else ratings
    if "timestamp" not in ratings or ratings["timestamp"].dtype.kind in "iuf":
        return ratings
    moments = pd.to_datetime(ratings["timestamp"], errors="coerce", utc=True, format="ISO8601")
    known = moments.notna().to_numpy()
    seconds = moments.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    return ratings.assign(timestamp=seconds if known.all() else np.where(known, seconds, np.nan))


def is_sound(ratings: pd.DataFrame) -> bool:
    """Tell whether ratings are finite and non-negative, times known, and no id is missing."""
    rating = ratings["rating"]
    if rating.dtype.kind != "f" or not np.isfinite(rating).all() or (rating < 0).any():
        return False
    if "timestamp" in ratings and not np.isfinite(ratings["timestamp"]).all():
        return False
    return not (has_blanks(ratings["user"]) or has_blanks(ratings["item"]))


def has_blanks(column: pd.Series) -> bool:
    """Tell whether a column of text has an entry that is missing or empty."""
    return bool(column.dtype.kind == "O" and (column.isna() | (column == "")).any())


def _pair_codes(ratings: pd.DataFrame) -> NDArray[np.int64]:
    """Return one number per row, shape (n_ratings,), equal for equal (user, item) and ascending with both."""
    encoder = LabelEncoder()
    pair = encoder.fit_transform(ratings["user"]).astype(np.int64)
    items = encoder.fit_transform(ratings["item"])
    pair *= len(encoder.classes_)
    pair += items
    return pair
