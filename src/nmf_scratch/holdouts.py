"""Splits that know about users and time: what a recommender will meet once it is in use.

`KFold` deals ratings at random, so a model is judged on a user's first ratings with the help of the later ones, and a
user with many ratings counts for much. Two other questions are asked of a recommender:

    LeaveNOut           what else would each user like?       n ratings of each user are held out
    TimeOrderedSplit    what will they like next?             the last ratings are held out, per user or of all

The second is the stricter one: nothing of the future trains, if time is cut for all at once. Both follow scikit-learn's
splitter protocol and give index arrays only. A user with too few ratings to hold any out trains and is not judged.

References: Cremonesi, Koren & Turrin, *Performance of recommender algorithms on top-N recommendation tasks*, RecSys
2010; Meng, McCreadie, Macdonald & Ounis, *Exploring data splitting strategies for the evaluation of recommendation
models*, RecSys 2020 (the choice among these splits changes which model looks best).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from nmf_scratch._check import InputError, check_number
from nmf_scratch._random import SPLIT, RandomState, generator, random_key
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.pairs import columns_of
from nmf_scratch.model_selection import Indices, Split

Codes = npt.NDArray[Any]


@dataclass(frozen=True)
class LeaveNOut:
    """Hold n random ratings of each user out.

    Parameters
    ----------
    n : int
        Ratings of each user to hold out. Users with n ratings or fewer train only.
    n_splits : int
        Number of independent draws; test parts of different splits may overlap.
    random_state : int, Generator or None
        An int repeats the same splits at each call; None or a Generator draws anew.

    Raises
    ------
    InputError
        If `n` or `n_splits` is no integer >= 1.

    Examples
    --------
    >>> pairs = [("ann", "dune"), ("ann", "emma"), ("bob", "dune")]
    >>> [(train, test)] = LeaveNOut(1, random_state=0).split(pairs)
    >>> len(train), len(test)
    (2, 1)
    """

    n: int = 1
    _: KW_ONLY
    n_splits: int = 1
    random_state: RandomState = None

    def __post_init__(self) -> None:
        check_number("n", self.n, minimum=1, integer=True)
        check_number("n_splits", self.n_splits, minimum=1, integer=True)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Yield the index arrays of each draw.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n_ratings, 2)
            (user, item) pairs; a frame may have more columns.
        y : optional
            Ignored.
        groups : array_like, shape (n_ratings,), optional
            The user of each rating, where X does not say.

        Yields
        ------
        train, test : ndarray of intp
            Ascending and disjoint, together all of 0..n_ratings-1.

        Raises
        ------
        InputError
            If no user has more than n ratings.
        """
        users = _user_codes(X, groups)
        sizes = _held_out_of_each(np.bincount(users), self.n)
        _check_any(sizes, f"n={self.n}", f"more than {self.n}")
        return self._draws(users, sizes)

    def _draws(self, users: Codes, sizes: Indices) -> Iterator[Split]:
        key = random_key(self.random_state)
        for draw in range(self.n_splits):
            order = generator(key, SPLIT, draw).permutation(len(users))
            yield _last_of_each(users, order, sizes)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of draws; the arguments are ignored."""
        return self.n_splits


@dataclass(frozen=True, eq=False)
class TimeOrderedSplit:
    """Hold the last ratings out: of each user, or of all users from one moment on.

    Parameters
    ----------
    test_size : float or int
        A float in (0, 1) is the fraction held out, rounded up; an int the number of ratings held out: of each user's or
        of all, see `per_user`. At least one rating of each user trains where `per_user` is set.
    per_user : bool
        Whether each user's own last ratings are held out. Otherwise time is cut once for all, as in use: then nothing
        in training is later than anything in the test part, and a user who came late may be new to the model.
    timestamps : array_like, shape (n_ratings,), optional
        When each rating was given: numbers (Unix seconds) or dates. By default column "timestamp" of the X to split.

    Raises
    ------
    InputError
        If `test_size` is neither a fraction nor a positive integer, or `per_user` no bool.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user": list("aabb"), "item": [1, 2, 1, 2], "timestamp": [5, 3, 1, 2]})
    >>> [(train, test)] = TimeOrderedSplit(1).split(frame)
    >>> print(test)
    [0 3]
    """

    test_size: float | int = 0.2
    _: KW_ONLY
    per_user: bool = True
    timestamps: Any = None

    def __post_init__(self) -> None:
        whole = isinstance(self.test_size, Integral)
        check_number("test_size", self.test_size, minimum=0, maximum=np.inf if whole else 1, exclusive=True)
        if self.test_size == 1 and not whole:
            raise InputError("test_size=1.0 leaves nothing to train on: pass a fraction below 1, or an int")
        if not isinstance(self.per_user, bool):
            raise InputError(f"per_user must be True or False, got {self.per_user!r}")

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Yield one pair of index arrays.

        Parameters
        ----------
        X : DataFrame or array_like
            (user, item) pairs, in a frame with column "timestamp" unless `timestamps` were given.
        y : optional
            Ignored.
        groups : array_like, shape (n_ratings,), optional
            The user of each rating, where X does not say.

        Yields
        ------
        train, test : ndarray of intp
            Ascending and disjoint. Of ratings given at the same moment, the one that stands later in X is later.

        Raises
        ------
        InputError
            If timestamps are missing (none at all, or some of them), or there are too few ratings.
        """
        times = _times(X if self.timestamps is None else {"timestamp": self.timestamps})
        users = _user_codes(X, groups) if self.per_user else np.zeros(len(times), dtype=np.intp)
        if len(times) != len(users):
            raise InputError(f"there are {len(times)} timestamps for {len(users)} ratings: pass one for each")
        sizes = _held_out_of_each(np.bincount(users), self.test_size)
        _check_any(sizes, f"test_size={self.test_size}", "enough" if self.per_user else None)
        return iter([_last_of_each(users, np.argsort(times, kind="stable"), sizes)])

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return 1; the arguments are ignored."""
        return 1


def _user_codes(X: Any, groups: Any) -> Codes:
    return LabelEncoder().fit_transform(columns_of(X)[0] if groups is None else groups)


def _held_out_of_each(counts: Indices, size: float | int) -> Indices:
    """Return how many ratings each user gives up: a number only if one is left, a fraction such that one is left."""
    if isinstance(size, Integral):
        return np.where(counts > size, int(size), 0)
    sizes: Indices = np.minimum(np.ceil(size * counts), counts - 1).astype(np.intp)
    return sizes


def _check_any(sizes: Indices, argument: str, needed: str | None) -> None:
    if not sizes.any():
        who = f"no user has {needed} ratings" if needed else "there are no more ratings than that"
        raise InputError(f"{argument} cannot be held out: {who}; hold fewer out, or pass more ratings")


def _last_of_each(users: Codes, order: Indices, sizes: Indices) -> Split:
    """Hold out the last of each user's ratings in the given order of all ratings."""
    grouped = order[np.argsort(users[order], kind="stable")]  # user by user, each in order
    ends = np.cumsum(np.bincount(users))
    from_end = ends[users[grouped]] - np.arange(len(users))  # 1 for the last
    held_out = np.zeros(len(users), dtype=bool)
    held_out[grouped[from_end <= sizes[users[grouped]]]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _times(X: Any) -> npt.NDArray[Any]:
    """Return the timestamps as numbers or dates that can be sorted, none missing."""
    if not hasattr(X, "keys") or "timestamp" not in X.keys():  # noqa: SIM118 (a frame's `in` looks at its columns)
        raise InputError(
            "there are no timestamps to order by: pass a frame with a column 'timestamp', "
            "or TimeOrderedSplit(timestamps=…)"
        )
    times = np.asarray(X["timestamp"])
    if times.dtype.kind not in "iufM":
        times = _parsed(times)
    missing = np.isnat(times) if times.dtype.kind == "M" else ~np.isfinite(times)
    if missing.any():
        raise InputError(
            f"{missing.sum()} of {len(times)} timestamps are missing, the first at position {missing.argmax()}: "
            "fill them in, or leave those ratings out"
        )
    return times


def _parsed(times: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Read objects or text: numbers or dates (with or without a zone), a missing one as NaN or NaT."""
    known = np.array([_plain(value) for value in times.tolist()], dtype=object)
    for dtype in (np.float64, "datetime64[us]"):
        try:
            return known.astype(dtype)  # None becomes NaN or NaT
        except (TypeError, ValueError):
            continue
    raise InputError(f"timestamps must be numbers or dates, got {times.tolist()[0]!r}: convert them first")


def _plain(value: Any) -> Any:
    """Return a date with a time zone as Unix seconds, and None for each kind of missing value."""
    if value is None or str(value) in ("NaT", "<NA>", "nan"):
        return None
    return value.timestamp() if hasattr(value, "timestamp") else value
