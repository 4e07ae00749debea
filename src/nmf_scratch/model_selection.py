"""Splits: which ratings train, which ratings judge. Index arrays only, so every splitter works on every container.

A model must be judged on ratings it has never seen, and a single hold-out wastes data and depends on luck. k-fold
cross-validation deals the n ratings into k parts of equal size (to within one) and lets each part judge the model
that the other k - 1 trained. Two properties make the estimate honest, and the tests check both for many n and k:
train and test are disjoint, and every rating is held out exactly once.

Results equal scikit-learn's index for index where nothing is drawn; shuffled splits draw from this package's own
counter-based generator. The splitters serve as `cv` inside scikit-learn as well.

Cost: O(n) time and memory per fold, yielded lazily.

Reference: Kohavi (1995), A study of cross-validation and bootstrap for accuracy estimation and model selection, IJCAI.
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

Indices = npt.NDArray[np.intp]
Split = tuple[Indices, Indices]


@runtime_checkable
class Splitter(Protocol):
    """What cross-validation needs to know about a splitter; scikit-learn's satisfy it too."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Yield (train, test) index arrays."""

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of pairs that `split` yields."""


@dataclass(frozen=True)
class KFold:
    """Deal n samples into k folds; each is held out once while the others train.

    The first n mod k folds hold one sample more than the rest. Indices within a fold ascend, shuffled or not:
    shuffling decides who belongs to which fold.

    Parameters
    ----------
    n_splits : int
        Number of folds, at least 2.
    shuffle : bool
        Whether samples are dealt at random; otherwise folds are contiguous blocks. Ratings files are usually
        grouped by user or by time, so shuffle them.
    random_state : int, Generator or None
        With `shuffle`: an int repeats the same folds at each call; None or a Generator deals anew.

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
        if not isinstance(self.shuffle, bool):
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


def train_test_split(
    *arrays: Any, test_size: float | int = 0.25, random_state: RandomState = None, shuffle: bool = True
) -> list[Any]:
    """Split each array into a training and a test part, all in the same way.

    Parameters
    ----------
    *arrays : array, DataFrame, Series, CSR matrix or list, each of length n
        What to split; pass `np.arange(n)` for the index arrays themselves.
    test_size : float or int
        A float in (0, 1) is the fraction held out, rounded up; an int is the number of samples held out.
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
    n_test = _test_count(test_size, n_samples)
    order = _order(n_samples, random_state) if shuffle else np.arange(n_samples)
    held_out = np.zeros(n_samples, dtype=bool)
    held_out[order[n_samples - n_test :]] = True
    parts = _split_by(held_out)
    return [_take(array, part) for array in arrays for part in parts]


def check_cv(cv: int | Splitter) -> Splitter:
    """Turn a number of folds into an unshuffled `KFold`, as scikit-learn does; pass a splitter through.

    Raises
    ------
    InputError
        If `cv` is neither.
    """
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        return KFold(int(cv))
    if isinstance(cv, Splitter):
        return cv
    raise InputError(
        f"cv={cv!r} must be a number of folds or an object with split and get_n_splits, "
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
    shape = getattr(array, "shape", None)
    if shape == () or (shape is None and not hasattr(array, "__len__")):
        raise InputError(f"{name} must have a length, got {array!r}: pass an array, a table or a list")
    return len(array) if shape is None else int(shape[0])


def _take(array: Any, indices: Indices) -> Any:
    if hasattr(array, "iloc"):
        return array.iloc[indices]
    return array[indices] if hasattr(array, "shape") else [array[index] for index in indices]


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
