"""Ids to codes: the arrays of the model need 0 … n-1 where files say 196, "B000FA64PK" or a date.

*Which labels are there?* A hash table keeps one of each. All that is slow, sorting them and comparing them with the
labels seen before, happens to these few; the many only look up which of the few they are. Sorting makes the codes
depend on the set of labels and not on the order of the file. Integers in a dense range (most user ids) need no
hashing: the label itself is the address in a counting table.

Labels are equal when Python says so: 1 and 1.0 are, 1 and "1" are not. Nothing is cast to make it match.

Cost: O(n) for n labels, plus O(m log m) to sort the m distinct ones. The results are those of scikit-learn's
`LabelEncoder`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from nmf_scratch._check import InputError, check_choice
from nmf_scratch._estimator import Parameters

Array = npt.NDArray[Any]
Codes = npt.NDArray[np.signedinteger[Any]]

_SHOWN = 5
"""An error message shows at most this many of the offending labels."""

_NUMBERS = ("boolean", "integer", "floating", "mixed-integer-float")

_BLOCK = 2**16

_DENSE = 8
"""Integers are counted instead of hashed while their range is at most this many times their number."""


class LabelEncoder(Parameters):
    """Encode labels as 0 … n_classes - 1, in sorted order, and back.

    Parameters
    ----------
    unknown : {"raise", "code"}
        What `transform` does with a label that `fit` has not seen: refuse it, or give it the code -1.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The distinct labels, sorted; the code of a label is its position. The dtype is that of the labels, so object
        stays object; pandas' `str` and lists of strings become NumPy strings (saved without pickle), nullable
        columns their NumPy dtype, categories the dtype of the categories.

    Examples
    --------
    >>> encoder = LabelEncoder().fit([302, 50, 196, 50])
    >>> encoder.transform([196, 50])
    array([1, 0], dtype=int32)
    >>> encoder.inverse_transform([2, 2, 0])
    array([302, 302,  50])
    """

    classes_: Array

    def __init__(self, *, unknown: str = "raise") -> None:
        check_choice("unknown", unknown, ("raise", "code"))
        self.unknown = unknown

    def fit(self, y: Any) -> Self:
        """Learn the distinct labels.

        Parameters
        ----------
        y : array-like, shape (n,)
            Labels of any type that can be hashed and sorted: a list, an array, a column of a table.

        Returns
        -------
        LabelEncoder
            Itself.

        Raises
        ------
        InputError
            If a label is missing, or the labels cannot be sorted (1 and "a") or hashed (lists).
        """
        self._learn(_few(_labels(y)))
        return self

    def fit_transform(self, y: Any) -> Codes:
        """Learn the distinct labels and encode them; the same as `fit(y).transform(y)`, in one reading of y."""
        few = _few(_labels(y))
        self._learn(few)
        return self._encode(few)

    def transform(self, y: Any) -> Codes:
        """Encode labels.

        Parameters
        ----------
        y : array-like, shape (n,)
            Labels.

        Returns
        -------
        ndarray of int32 (int64 beyond 2**31 classes), shape (n,)
            Positions in `classes_`; -1 for an unseen label where `unknown="code"`.

        Raises
        ------
        InputError
            If the encoder is not fitted, a label is missing, or one is unseen and `unknown="raise"`.
        """
        self._check_fitted()
        return self._encode(_few(_labels(y)))

    def inverse_transform(self, y: Any) -> Array:
        """Decode codes.

        Parameters
        ----------
        y : array-like of int, shape (n,)
            Codes.

        Returns
        -------
        ndarray, shape (n,)
            Labels, in the dtype of `classes_`.

        Raises
        ------
        InputError
            If the encoder is not fitted, or a code is not an integer in 0 … n_classes - 1 (-1, an unseen label,
            has no way back).
        """
        self._check_fitted()
        given = _labels(y, name="codes")
        codes = given.keys if len(given.keys) else np.empty(0, dtype=np.int64)
        if codes.dtype != np.int64:
            raise InputError(f"codes must be integers, as transform returns them, got {_some(given)}")
        outside = (codes < 0) | (codes >= len(self.classes_))
        if outside.any():
            raise InputError(
                f"codes must be from 0 to {len(self.classes_) - 1}, got {_some(given.where(outside))}: "
                "leave out what has no label (-1 marks the unseen)"
            )
        return self.classes_[codes]

    def _check_fitted(self) -> None:
        if not hasattr(self, "classes_"):
            raise InputError("this LabelEncoder has not seen any labels yet: call fit(labels) first")

    def _learn(self, few: _Few) -> None:
        self._known = few.labels.where(_sorted_order(few.labels.keys))
        self._index = _index(self._known.keys)
        self.classes_ = self._known.restored()

    def _encode(self, few: _Few) -> Codes:
        found = self._find(few.labels)
        unseen = found < 0
        if self.unknown == "raise" and unseen.any():
            raise InputError(
                f"{unseen[few.positions].sum()} of {few.positions.size} labels were not seen in fit: "
                f"{_some(few.labels.where(unseen))} ({len(self.classes_)} labels of dtype {self.classes_.dtype} were); "
                'fit on all labels, or use LabelEncoder(unknown="code") to encode the unseen as -1'
            )
        if np.array_equal(found, np.arange(len(self.classes_))):  # the distinct labels are the classes, in their order
            return few.positions
        return found.astype(_code_dtype(len(self.classes_)))[few.positions]

    def _find(self, labels: _Labels) -> npt.NDArray[np.intp]:
        """Return the code of each label, -1 for the unseen."""
        if labels.space == self._known.space:
            return self._index.get_indexer(_index(labels.keys))
        # Only Python can tell whether 1.0 is among integers or a Timestamp among dates: slow, correct and rare.
        return _index(self._known.as_objects()).get_indexer(_index(labels.as_objects()))


class _Labels(NamedTuple):
    """Labels in one of three forms that hash well (int64, float64, object), and the dtype to go back to."""

    keys: Array
    dtype: np.dtype[Any]

    @property
    def space(self) -> np.dtype[Any]:
        """Keys of one space compare as they are: days and seconds are both int64, but not of one space."""
        return self.dtype if self.dtype.kind in "mM" else self.keys.dtype

    def where(self, which: Array) -> _Labels:
        return self._replace(keys=self.keys[which])

    def restored(self) -> Array:
        labels = self.keys.astype(self.dtype)
        if self.dtype.kind in "US" and (labels.astype(object) != self.keys).any():
            raise InputError("labels must not end in a NUL character, which NumPy strings drop: strip it")
        return labels

    def as_objects(self) -> Array:
        if self.dtype.kind in "mM":
            return pd.Series(self.restored()).astype(object).to_numpy()
        return self.keys.astype(object)


class _Few(NamedTuple):
    """The distinct labels, in any order, and which of them stands at each position."""

    labels: _Labels
    positions: Codes


def _few(labels: _Labels) -> _Few:
    positions, distinct = (_count if _is_dense(labels.keys) else _hash)(labels.keys)
    if (positions < 0).any():
        _refuse_missing(labels.keys)
    return _Few(labels._replace(keys=distinct), positions)


def _count(keys: Array) -> tuple[Codes, Array]:
    low = int(keys.min())
    present = np.zeros(int(keys.max()) - low + 1, dtype=bool)
    for block in _blocks(keys):
        present[keys[block] - low] = True
    distinct = np.flatnonzero(present)
    rank = np.cumsum(present, dtype=_code_dtype(len(distinct))) - 1
    positions = np.empty(len(keys), dtype=rank.dtype)
    for block in _blocks(keys):
        positions[block] = rank[keys[block] - low]
    return positions, distinct + low


def _blocks(keys: Array) -> Iterator[slice]:
    """Cut the labels into pieces whose intermediate arrays fit into the cache."""
    return (slice(start, start + _BLOCK) for start in range(0, len(keys), _BLOCK))


def _hash(keys: Array) -> tuple[Codes, Array]:
    try:
        positions, distinct = pd.factorize(keys)  # the position of a missing label is -1
    except TypeError as error:
        raise InputError(f"labels must be hashable: pass one column of ids ({error})") from error
    return positions.astype(_code_dtype(len(distinct)), copy=False), distinct


def _is_dense(keys: Array) -> bool:
    return keys.dtype == np.int64 and keys.size > 0 and int(keys.max()) - int(keys.min()) < _DENSE * keys.size


def _sorted_order(distinct: Array) -> npt.NDArray[np.intp]:
    try:
        return np.argsort(distinct)
    except TypeError as error:
        examples: dict[str, object] = {}
        for label in distinct:
            examples.setdefault(type(label).__name__, label)
        shown = [f"{label!r} ({name})" for name, label in examples.items()]
        raise InputError(
            f"labels must be sortable, got {' and '.join(shown[:2])}: "
            "convert them to one type first, for example to str"
        ) from error


def _index(keys: Array) -> pd.Index[Any]:
    return pd.Index(keys, dtype=keys.dtype)


def _code_dtype(n_classes: int) -> type[np.signedinteger[Any]]:
    return np.int32 if n_classes <= 2**31 else np.int64


def _refuse_missing(labels: Array | pd.Series[Any]) -> None:
    missing = np.flatnonzero(pd.isna(labels))
    if missing.size:
        raise InputError(
            f"{missing.size} of {len(labels)} labels are missing, the first at position {missing[0]}: "
            "drop these rows or give them a label"
        )


def _some(labels: _Labels) -> str:
    """Show the first few distinct labels."""
    few = labels._replace(keys=_hash(labels.keys)[1][: _SHOWN + 1])
    shown = few.restored().astype(str) if labels.dtype.kind in "mM" else few.keys
    return ", ".join([repr(label) for label in shown[:_SHOWN].tolist()] + ["…"] * (len(shown) > _SHOWN))


def _labels(y: Any, name: str = "labels") -> _Labels:
    """Read what the caller passed into keys."""
    values, dtype = _values(y, name)
    if values.ndim != 1:
        raise InputError(
            f"{name} must be one-dimensional, got shape {values.shape}: pass one column, such as frame['user']"
        )
    if values.dtype.kind in "mM":
        _refuse_missing(values)
    return _Labels(values.astype(_key_dtype(values), copy=False), dtype)


def check_exact(objects: Iterable[Any]) -> None:
    """Refuse integers beside floats that no float can hold: two of them could become one label."""
    whole = (int(x) for x in objects if isinstance(x, int | np.integer) and abs(int(x)) > 2**53)
    beyond = next((x for x in whole if x.bit_length() > 1000 or int(float(x)) != x), None)
    if beyond is not None:
        raise InputError(
            f"labels mix floats with integers too large for them, such as {beyond}: convert all to int, or to str"
        )


def _key_dtype(values: Array) -> type[np.int64] | type[np.float64] | type[object]:
    kind = values.dtype.kind
    if kind == "u" and values.max(initial=0) > np.iinfo(np.int64).max:
        return object
    return np.int64 if kind in "biumM" else np.float64 if kind == "f" else object


def _values(y: Any, name: str) -> tuple[Array, np.dtype[Any]]:
    if isinstance(y, pd.MultiIndex):
        raise InputError(f"{name} must be one column, got a MultiIndex: pass one level, index.get_level_values(0)")
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        _refuse_missing(pd.Series(y.data, dtype=object).mask(np.ma.getmaskarray(y)))
    if isinstance(y, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        return _from_pandas(pd.Series(y))
    if hasattr(y, "__array__"):
        values = np.asarray(y)
        return values, values.dtype
    if isinstance(y, str | bytes) or not isinstance(y, Iterable):
        raise InputError(f"{name} must be a list, an array or a column, got {y!r}: wrap a single one, [{y!r}]")
    return _from_objects(pd.Series(list(y), dtype=object))


def _from_pandas(series: pd.Series[Any]) -> tuple[Array, np.dtype[Any]]:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        _refuse_missing(series)
        return _from_pandas(series.astype(dtype.categories.dtype))
    if isinstance(dtype, pd.api.extensions.ExtensionDtype) and pd.api.types.is_string_dtype(dtype):
        return _shared(series), np.dtype(str)
    if hasattr(dtype, "numpy_dtype"):  # nullable and Arrow columns
        _refuse_missing(series)
        series = series.astype(dtype.numpy_dtype)
    values = series.to_numpy()
    return values, values.dtype


def _shared(series: pd.Series[Any]) -> Array:
    """Return text as objects, one for all that are equal: Arrow columns would make a Python object of each."""
    positions, distinct = pd.factorize(series)
    if (positions < 0).any():
        _refuse_missing(series)
    objects: Array = distinct.to_numpy(dtype=object)[positions]
    return objects


def _from_objects(objects: pd.Series[Any]) -> tuple[Array, np.dtype[Any]]:
    """Find the dtype of a list. NumPy's own guess turns [1, "a"] and [nan, "a"] into strings."""
    kind = pd.api.types.infer_dtype(objects, skipna=False)
    if kind == "mixed-integer-float":
        check_exact(objects)
    if kind in ("string", "bytes"):
        return objects.to_numpy(), np.dtype(str if kind == "string" else bytes)
    values = (objects.infer_objects() if kind in _NUMBERS else objects).to_numpy()
    return values, values.dtype
