"""Splits: which ratings train, which ratings test. Index arrays only, so every splitter works on every container.

A model must be evaluated on ratings it has never seen, and a single hold-out wastes data and depends on luck. k-fold
cross-validation partitions the n ratings into k parts of equal size (to within one) and lets each part test the model
that the other k - 1 trained. Two properties make the estimate honest, and the tests check both for many n and k:
train and test are disjoint, and every rating is held out exactly once.

`KFold` partitions ratings at random, so a model predicts a user's first ratings with the help of the later ones, and a
user with many ratings counts for much. Two other questions are asked of a recommender:

    LeaveNOut           what else would each user like?       n ratings of each user are held out
    TimeOrderedSplit    what will they like next?             the last ratings are held out, per user or of all

The second is the stricter one: nothing of the future trains, if time is cut for all at once. A user with too few
ratings to hold any out trains and is not evaluated.

Results equal scikit-learn's index for index where nothing is drawn; shuffled splits draw from this package's own
counter-based generator. The splitters serve as `cv` inside scikit-learn as well.

Cost: O(n) time and memory per fold, yielded lazily.

References: Kohavi, *A study of cross-validation and bootstrap for accuracy estimation and model selection*, IJCAI 1995;
Cremonesi, Koren & Turrin, *Performance of recommender algorithms on top-N recommendation tasks*, RecSys 2010; Meng,
McCreadie, Macdonald & Ounis, *Exploring data splitting strategies for the evaluation of recommendation models*, RecSys
2020 (the choice among these splits changes which model looks best).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nmf_scratch._check import InputError, check_number
from nmf_scratch._random import SPLIT, RandomState, generator, random_key
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.inputs import columns_of
from nmf_scratch.data.ratings import Ratings

Indices = npt.NDArray[np.intp]
Split = tuple[Indices, Indices]
Codes = npt.NDArray[Any]


@runtime_checkable
class Splitter(Protocol):
    """What cross-validation needs to know about a splitter; scikit-learn's satisfy it too."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Yield (train, test) index arrays."""

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of pairs that `split` yields."""


@dataclass(frozen=True)
class KFold:
    """Partition n samples into k folds; each is held out once while the others train.

    The first n mod k folds hold one sample more than the rest. Indices within a fold ascend, shuffled or not:
    shuffling decides who belongs to which fold.

    Parameters
    ----------
    n_splits : int
        Number of folds, at least 2.
    shuffle : bool
        Whether samples are assigned at random; otherwise folds are contiguous blocks. Ratings files are usually
        grouped by user or by time, so shuffle them.
    random_state : int, Generator or None
        With `shuffle`: an int repeats the same folds at each call; None or a Generator draws a new partition.

    Raises
    ------
    InputError
        If `n_splits` is no integer >= 2, `shuffle` no bool, or `random_state` is given without `shuffle`.

    Examples
    --------
    >>> for train, test in KFold(n_splits=2).split(["a", "b", "c"]):
    ...     print(train, test)
    [2] [0 1]
    [0 1] [2]
    """

    n_splits: int = 5
    _: KW_ONLY
    shuffle: bool = False
    random_state: RandomState = None

    def __post_init__(self) -> None:
        check_number("n_splits", self.n_splits, minimum=2, integer=True)
        if not isinstance(self.shuffle, (bool, np.bool_)):
            raise InputError(f"shuffle must be True or False, got {self.shuffle!r}")
        if not self.shuffle and self.random_state is not None:
            raise InputError(
                f"random_state={self.random_state!r} has no effect without shuffling: "
                "set shuffle=True, or leave random_state out"
            )

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Yield the index arrays of each fold.

        Parameters
        ----------
        X : array-like, shape (n, ...)
            Only its length is used.
        y : array-like, shape (n,), optional
            Only its length is used.
        groups : optional
            Ignored, with a warning: a group may be torn apart.

        Yields
        ------
        train, test : ndarray of intp, shapes (n - m,) and (m,)
            Ascending, disjoint, together all of 0..n-1.

        Raises
        ------
        InputError
            If there are fewer samples than folds, or X and y differ in length.
        """
        _warn_about_groups(groups, self)
        n_samples = _common_length(X=X, y=y)
        if self.n_splits > n_samples:
            raise InputError(
                f"n_splits={self.n_splits} is more than the number of samples, {n_samples}: "
                "use fewer folds or pass more samples"
            )
        return self._folds(n_samples)

    def _folds(self, n_samples: int) -> Iterator[Split]:
        order = _order(n_samples, self.random_state) if self.shuffle else np.arange(n_samples)
        for test in np.array_split(order, self.n_splits):
            held_out = np.zeros(n_samples, dtype=bool)
            held_out[test] = True
            yield _split_by(held_out)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds; the arguments are ignored."""
        return self.n_splits


class PredefinedSplit:
    """Folds that somebody else has fixed, such as u1-u5 of MovieLens 100K (`Dataset.test_fold`).

    Parameters
    ----------
    test_fold : array-like of int, shape (n,)
        The number of the fold that holds each sample out; -1 means it always trains.

    Attributes
    ----------
    test_fold : ndarray of intp, shape (n,)
        As passed.
    unique_folds : ndarray of intp, shape (k,)
        The fold numbers in use, ascending.

    Raises
    ------
    InputError
        If `test_fold` is not a one-dimensional array of whole numbers >= -1, or holds nothing out.

    Examples
    --------
    >>> for train, test in PredefinedSplit([0, 1, -1, 1]).split():
    ...     print(train, test)
    [1 2 3] [0]
    [0 2] [1 3]
    """

    def __init__(self, test_fold: npt.ArrayLike) -> None:
        folds = np.asarray(test_fold)
        if folds.ndim != 1 or folds.dtype.kind not in "iu":
            raise InputError(
                "test_fold must be a one-dimensional array of integers, one fold number per sample, "
                f"got an array of {folds.dtype} with shape {folds.shape}"
            )
        self.test_fold: Indices = folds.astype(np.intp)
        self.unique_folds: Indices = np.unique(self.test_fold[self.test_fold != -1])
        if self.unique_folds.size == 0:
            raise InputError("test_fold holds no sample out: give at least one sample a fold number >= 0")
        if self.unique_folds[0] < -1:
            raise InputError(f"test_fold holds {self.unique_folds[0]}: number the folds from 0; -1 means always train")

    def __repr__(self) -> str:
        return f"PredefinedSplit({len(self.test_fold)} samples, {len(self.unique_folds)} folds)"

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Yield the index arrays of each fold, in ascending order of the fold numbers.

        Parameters
        ----------
        X, y : array-like, shape (n, ...), optional
            Only their length is used: it must be that of `test_fold`.
        groups : optional
            Ignored, with a warning.

        Yields
        ------
        train, test : ndarray of intp
            Ascending and disjoint, together all of 0..n-1.

        Raises
        ------
        InputError
            If X or y is of another length than `test_fold`.
        """
        _warn_about_groups(groups, self)
        _common_length(test_fold=self.test_fold, X=X, y=y)
        return (_split_by(self.test_fold == fold) for fold in self.unique_folds)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds; the arguments are ignored."""
        return len(self.unique_folds)


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
        if not isinstance(self.per_user, (bool, np.bool_)):
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


def train_test_split(
    *arrays: Any,
    test_size: float | int | None = None,
    train_size: float | int | None = None,
    random_state: RandomState = None,
    shuffle: bool = True,
) -> list[Any]:
    """Split each array into a training and a test part, all in the same way.

    Parameters
    ----------
    *arrays : array, DataFrame, Series, sparse matrix, Ratings or list, each of length n
        What to split; pass `np.arange(n)` for the index arrays themselves.
    test_size : float or int, optional
        A float in (0, 1) is the fraction held out, rounded up; an int is the number of samples held out. By default
        what `train_size` leaves, or a quarter.
    train_size : float or int, optional
        Likewise of the training part, rounded down; by default all that is not held out.
    random_state : int, Generator or None
        An int repeats the same split.
    shuffle : bool
        Whether the test part is drawn at random; otherwise it is the last one. Either way rows keep their order.

    Returns
    -------
    list
        train, test of the first array, train, test of the second, and so on; each of its array's own type.

    Raises
    ------
    InputError
        If no array is passed, their lengths differ, either part would be empty, or `random_state` has no effect.

    Examples
    --------
    >>> train_test_split(["a", "b", "c", "d"], test_size=0.5, shuffle=False)
    [['a', 'b'], ['c', 'd']]
    """
    if not arrays:
        raise InputError("train_test_split needs at least one array: pass what is to be split")
    if not shuffle and random_state is not None:
        raise InputError(f"random_state={random_state!r} has no effect without shuffling: leave it out")
    n_samples = _common_length(**{f"array {position}": array for position, array in enumerate(arrays, start=1)})
    n_train, n_test = _sizes(train_size, test_size, n_samples)
    order = _order(n_samples, random_state) if shuffle else np.arange(n_samples)
    part = np.zeros(n_samples, np.int8)
    part[order[n_samples - n_test :]], part[order[: n_samples - n_test - n_train]] = 1, 2
    parts = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    return [_take(array, part) for array in arrays for part in parts]


@dataclass(frozen=True)
class _Listed:
    """Splits that were made before."""

    splits: list[Split]

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        return iter(self.splits)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return len(self.splits)


def check_cv(cv: int | Splitter | list[Split] | None) -> Splitter:
    """Turn a number of folds (None: 5) into an unshuffled `KFold`, as scikit-learn does, or splits into a splitter.

    Raises
    ------
    InputError
        If `cv` is neither, nor a splitter.
    """
    if cv is None:
        return KFold()
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        return KFold(int(cv))
    if isinstance(cv, Splitter):
        return cv
    if isinstance(cv, (list, tuple, Iterator)):
        splits = list(cv)
        if splits and all(isinstance(split, (tuple, list)) and len(split) == 2 for split in splits):
            return _Listed([(np.asarray(train), np.asarray(test)) for train, test in splits])
    raise InputError(
        f"cv={cv!r} must be a number of folds, a list of (train, test), or an object with split and get_n_splits, "
        "such as KFold(5, shuffle=True, random_state=0)"
    )


def _order(n_samples: int, random_state: RandomState) -> Indices:
    return generator(random_key(random_state), SPLIT).permutation(n_samples)


def _split_by(held_out: npt.NDArray[np.bool_]) -> Split:
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _common_length(**arrays: Any) -> int:
    lengths = {name: _length(name, array) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InputError(f"the numbers of samples differ: {found}; pass arrays of one length")
    return next(iter(lengths.values()), 0)


def _length(name: str, array: Any) -> int:
    shape = None if isinstance(array, Ratings) else getattr(array, "shape", None)
    if shape == () or (shape is None and not hasattr(array, "__len__")):
        raise InputError(f"{name} must have a length, got {array!r}: pass an array, a table or a list")
    return len(array) if shape is None else int(shape[0])


def _take(array: Any, indices: Indices) -> Any:
    if isinstance(array, Ratings):
        return array.take(indices)
    if hasattr(array, "iloc"):
        return array.iloc[indices]
    if hasattr(array, "tocsr"):  # of sparse matrices, COO and its like have no rows to take
        array = array.tocsr()
    return array[indices] if hasattr(array, "shape") else [array[index] for index in indices]


def _sizes(train_size: float | int | None, test_size: float | int | None, n_samples: int) -> tuple[int, int]:
    """Return how many samples train and how many are held out."""
    if train_size is None:
        n_test = _test_count(0.25 if test_size is None else test_size, n_samples)
        return n_samples - n_test, n_test
    whole = isinstance(train_size, Integral)
    check_number("train_size", train_size, minimum=0, maximum=n_samples if whole else 1, exclusive=True)
    n_train = int(train_size) if whole else math.floor(train_size * n_samples)
    n_test = n_samples - n_train if test_size is None else _test_count(test_size, n_samples)
    if not (n_train and n_test and n_train + n_test <= n_samples):
        raise InputError(
            f"train_size={train_size!r} and test_size={test_size!r} leave a part of {n_samples} samples empty, "
            "or ask for more than there are"
        )
    return n_train, n_test


def _test_count(test_size: float | int, n_samples: int) -> int:
    is_number = isinstance(test_size, Real) and not isinstance(test_size, bool)
    whole = isinstance(test_size, Integral)
    if not is_number or not 0 < test_size < (n_samples if whole else 1):
        raise InputError(
            f"test_size={test_size!r} must be a fraction between 0 and 1 or a number of samples "
            f"between 0 and {n_samples}, both excluded"
        )
    n_test = int(test_size) if whole else math.ceil(test_size * n_samples)
    if n_test == n_samples:
        raise InputError(
            f"test_size={test_size!r} of {n_samples} samples leaves none to train on: lower it or pass more samples"
        )
    return n_test


def _warn_about_groups(groups: Any, splitter: object) -> None:
    if groups is not None:
        warnings.warn(f"{type(splitter).__name__} ignores groups: a group may be torn apart", stacklevel=3)


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
    return _split_by(held_out)


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
