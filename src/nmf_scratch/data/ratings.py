"""The observed ratings as arrays: `Ratings`, and the two compressed views that kernels walk through.

A rating is a triple (user, item, value) with users and items already encoded as 0, 1, 2, … . `Ratings` keeps the
triples in one canonical order, sorted by (user, item), so that nothing downstream depends on the order of the lines in
a file. From it come two views of the same numbers:

- `by_user` (compressed sparse rows): the ratings of user u are entries ``indptr[u] … indptr[u+1]``;
- `by_item` (compressed sparse columns): the same, grouped by item.

Both come from a counting sort (`nmf_scratch.data.sorting`); what is sorted already, as the MovieLens files are, is
recognised in one pass and left as it is.

Only observed pairs exist here. A pair that is absent is unknown, not zero.

Ratings may have *weights*: one of weight 3 counts as if it were there three times. Kernels always multiply by a weight;
where all are one, these ones take the memory of a single number (`ones`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch.data.sorting import count, group, is_increasing

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Triples = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

_MAX_INT32 = np.iinfo(np.int32).max
_MAX_CODES = 2**40
"""More rows than this are a mistake: ids that were not encoded."""


class Compressed(NamedTuple):
    """Ratings grouped by row, as plain arrays: what kernels take.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Row r owns the entries ``indptr[r] : indptr[r + 1]``.
    indices : ndarray of int32 or int64, shape (n_ratings,)
        The column (item or user) of each entry, ascending within a row.
    values : ndarray of float32, shape (n_ratings,)
        The rating of each entry.
    weights : ndarray of float32, shape (n_ratings,) or more
        How often each entry counts.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    values: NDArray[Any]
    weights: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ratings:
    """Encoded ratings: sorted by (user, item), without duplicates, finite, non-negative, read-only.

    Build it with `from_arrays`, `from_sparse` or `from_dense`, which validate and sort; the bare constructor is for
    arrays that already keep the promises above.

    Attributes
    ----------
    users, items : ndarray of int32 (int64 beyond 2**31 rows), shape (n_ratings,)
        Codes 0 … n_users − 1 and 0 … n_items − 1.
    values : ndarray of float32, shape (n_ratings,)
        Ratings, in the unit of the file (stars).
    n_users, n_items : int
        Shape of the rating matrix; rows and columns may be empty.
    weights : ndarray of float32, shape (n_ratings,), or None
        How often each rating counts, above 0; None if once each.
    """

    users: NDArray[Any]
    items: NDArray[Any]
    values: NDArray[Any]
    n_users: int
    n_items: int
    weights: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        for array in (self.users, self.items, self.values, self.weights):
            if array is not None:
                array.flags.writeable = False

    @classmethod
    def from_arrays(
        cls,
        users: ArrayLike,
        items: ArrayLike,
        values: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        copy: bool = True,
    ) -> Ratings:
        """Validate, sort and de-duplicate triples; of equal (user, item) pairs the last one given is kept.

        Parameters
        ----------
        users, items : array_like of int, shape (n_ratings,)
            Codes, 0 or more.
        values : array_like of float, shape (n_ratings,)
            Finite ratings, 0 or more.
        weights : array_like of float, shape (n_ratings,), optional
            How often each rating counts, 0 or more; a rating of weight 0 is left out.
        n_users, n_items : int, optional
            Shape of the matrix; by default one more than the largest code.
        copy : bool
            Whether the caller's arrays stay the caller's. If not, those that are sorted and of the right dtype are
            taken over and become read-only, which saves memory where there are many.

        Returns
        -------
        Ratings

        Raises
        ------
        InputError
            If lengths differ, there is no rating, a code is out of range, or a rating or weight is negative, NaN or
            infinite.
        """
        given = users, items, values
        values = np.asarray(values, dtype=np.float32).ravel()
        users, n_users = _check_codes("users", users, n_users, len(values))
        items, n_items = _check_codes("items", items, n_items, len(values))
        _check_values(values)
        triples: Triples = users, items, values
        if weights is None and is_increasing(users, items):
            return cls(*_copied(triples, given) if copy else triples, n_users, n_items)
        columns: tuple[NDArray[Any], ...] = (
            _sorted(*triples, n_users, n_items)
            if weights is None
            else _sorted_with_weights(*triples, _check_weights(weights, len(values)))
        )
        if not is_increasing(*columns[:2]):
            n_given = len(columns[0])
            columns = _last_of_each_pair(*columns)
            repeats = n_given - len(columns[0])
            warnings.warn(f"{repeats} repeated (user, item) pairs: the last rating of each was kept", stacklevel=2)
        users, items, values, *own = columns
        return cls(users, items, values, n_users, n_items, own[0] if own else None)

    @classmethod
    def from_sparse(cls, matrix: Any) -> Ratings:
        """Take the explicitly stored entries of a SciPy sparse matrix, zeros included, as the observed ratings."""
        if len(matrix.shape) != 2:
            raise InputError(f"matrix must have two dimensions (users, items), got shape {matrix.shape}")
        coo = matrix.tocoo()
        return cls.from_arrays(coo.row, coo.col, coo.data, n_users=coo.shape[0], n_items=coo.shape[1])

    @classmethod
    def from_dense(cls, matrix: ArrayLike) -> Ratings:
        """Take every entry of a dense (n_users, n_items) matrix that is not NaN as an observed rating."""
        if isinstance(matrix, np.ma.MaskedArray):  # what is masked was not observed
            matrix = np.ma.filled(matrix.astype(np.float64), np.nan)
        dense = np.asarray(matrix, dtype=np.float64)
        if dense.ndim != 2:
            raise InputError(f"matrix must have two dimensions (users, items), got shape {dense.shape}")
        users, items = np.nonzero(~np.isnan(dense))
        n_users, n_items = dense.shape
        return cls.from_arrays(users, items, dense[users, items], n_users=n_users, n_items=n_items)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        density = len(self) / max(1, self.n_users * self.n_items)
        return f"Ratings({len(self):,} of {self.n_users:,} users × {self.n_items:,} items, {density:.2%} observed)"

    @property
    def shape(self) -> tuple[int, int]:
        """(n_users, n_items)."""
        return self.n_users, self.n_items

    @cached_property
    def by_user(self) -> Compressed:
        """The ratings grouped by user (they are stored in that order, so only the row starts are computed)."""
        starts = np.searchsorted(self.users, np.arange(self.n_users + 1, dtype=self.users.dtype))
        starts.flags.writeable = False
        return Compressed(starts, self.items, self.values, ones() if self.weights is None else self.weights)

    @cached_property
    def by_item(self) -> Compressed:
        """The ratings grouped by item, users ascending within an item."""
        weights = ones() if self.weights is None else group(self.items, self.n_items, self.users, self.weights)[2]
        view = Compressed(*group(self.items, self.n_items, self.users, self.values), weights)
        for array in view:
            array.flags.writeable = False
        return view

    @cached_property
    def user_counts(self) -> NDArray[np.int64]:
        """Number of ratings of each user n_u, shape (n_users,)."""
        return np.diff(self.by_user.indptr)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """Number of ratings of each item n_i, shape (n_items,)."""
        return count(self.items, self.n_items)

    @cached_property
    def row_weights(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Sum of the weights of each user's and of each item's ratings; without weights their numbers."""
        if self.weights is None:
            return self.user_counts, self.item_counts
        return weight_of_rows(self.by_user), weight_of_rows(self.by_item)

    @property
    def total_weight(self) -> float:
        """Sum of all weights; without weights the number of ratings."""
        return float(len(self)) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    @cached_property
    def mean(self) -> float:
        """Mean rating, by weight."""
        if self.weights is None:
            return float(self.values.mean(dtype=np.float64))
        return float(np.average(self.values.astype(np.float64), weights=self.weights.astype(np.float64)))

    @property
    def T(self) -> Ratings:
        """The same ratings with the roles of users and items swapped."""
        view = self.by_item
        weights = None if self.weights is None else view.weights
        return Ratings(
            _rows(view.indptr, self.items.dtype), view.indices, view.values, self.n_items, self.n_users, weights
        )

    def take(self, index: ArrayLike) -> Ratings:
        """Return some of the ratings, in a matrix of the same shape.

        Parameters
        ----------
        index : array_like
            Positions in any order, each once; or a mask, one bool for each rating.

        Raises
        ------
        InputError
            If a position is out of range or repeated, or a mask of another length.
        """
        kept = _positions(np.asarray(index), len(self))
        weights = None if self.weights is None else self.weights[kept]
        return Ratings(self.users[kept], self.items[kept], self.values[kept], self.n_users, self.n_items, weights)

    @property
    def unit(self) -> float:
        """What ratings are divided by before they are fitted, so that strengths and steps suit any scale: the mean."""
        return self.mean or 1.0

    def scaled(self, unit: float) -> Ratings:
        """Return the ratings divided by a unit."""
        return self.with_values(self.values / np.float32(unit))

    def with_values(self, values: NDArray[Any]) -> Ratings:
        """Return the same pairs with other values (scaled ratings, residuals), in the dtype given."""
        return Ratings(self.users, self.items, values, self.n_users, self.n_items, self.weights)

    def to_sparse(self) -> csr_array:
        """Return a SciPy CSR array of shape (n_users, n_items) that stores exactly the observed entries."""
        from scipy.sparse import csr_array

        return csr_array((self.values, self.items, self.by_user.indptr), shape=self.shape)


def _positions(index: NDArray[Any], length: int) -> NDArray[np.intp]:
    """Return the positions that an index of ratings means, ascending."""
    if index.dtype == bool and index.shape == (length,):
        return np.flatnonzero(index)
    is_list = index.ndim == 1 and (index.dtype.kind in "iu" or not index.size)
    kept = np.sort(index).astype(np.intp) if is_list else np.zeros(2, np.intp)
    if (kept[1:] == kept[:-1]).any() or (kept.size and not 0 <= kept[0] <= kept[-1] < length):
        raise InputError(
            f"index must hold positions from 0 to {length - 1}, each once, or a mask of {length} entries; "
            f"got {index.dtype} of shape {index.shape}, from {index.min()} to {index.max()}"
        )
    return kept


def take_rows(view: Compressed, rows: NDArray[Any]) -> Compressed:
    """Return the ratings of these rows alone, in this order."""
    lengths = np.diff(view.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.repeat(view.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
    weights = weights_at(view.weights, positions)
    return Compressed(indptr, view.indices[positions], view.values[positions], weights)


def ones(dtype: Any = np.float32) -> NDArray[Any]:
    """Return more ones than there are ratings anywhere, in the memory of one."""
    return np.broadcast_to(np.ones((), dtype), (2**40,))


def spaced(weights: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return weights with gaps between them, and one more: in Numba's eyes the type of `ones`.

    Kernels are then compiled once for both. Twice the memory of the weights buys that.
    """
    pairs = np.ones((len(weights) + 1, 2), dtype)
    pairs[:-1, 0] = weights
    return pairs[:, 0]


def weights_at(weights: NDArray[Any], positions: NDArray[Any]) -> NDArray[Any]:
    """Return the weights at these positions; ones stay what they are."""
    return weights if weights.strides == (0,) else weights[positions]


def weight_of_rows(view: Compressed) -> NDArray[Any]:
    """Return the sum of the weights of each row, shape (n_rows,); of ones, the number of ratings."""
    n_rows = len(view.indptr) - 1
    if view.weights.strides == (0,):
        return np.diff(view.indptr)
    weights = view.weights[: len(view.values)]
    return np.bincount(_rows(view.indptr, np.dtype(np.intp)), weights=weights, minlength=n_rows)


def _check_codes(name: str, codes: ArrayLike, n_codes: int | None, length: int) -> tuple[NDArray[Any], int]:
    array = np.asarray(codes).ravel()
    if len(array) != length:
        raise InputError(f"{name} and values must have one length, got {len(array)} and {length}")
    if length == 0:
        raise InputError("there is no rating: pass at least one (user, item, value)")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name} must be integer codes, got dtype {array.dtype}: encode ids with LabelEncoder first")
    low, high = int(array.min()), int(array.max())
    size = high + 1 if n_codes is None else n_codes
    check_number(f"n_{name}", size, minimum=1, maximum=_MAX_CODES, integer=True)
    if low < 0 or high >= size:
        raise InputError(f"{name} must be codes from 0 to {size - 1}, got {low if low < 0 else high}")
    return array.astype(np.int32 if size <= _MAX_INT32 else np.int64, copy=False), size


def _check_values(values: NDArray[np.float32]) -> None:
    if not (values.min() >= 0 and values.max() < np.inf):  # NaN is neither; no arrays of flags unless needed
        where = int(np.argmin(np.isfinite(values) & (values >= 0)))
        remedy = "shift the scale so that its lowest rating is 0 or more" if values[where] < 0 else "drop such rows"
        raise InputError(f"ratings must be finite and not negative, got {values[where]} at position {where}; {remedy}")


def _check_weights(weights: ArrayLike, length: int) -> NDArray[np.float32]:
    array = np.asarray(weights, dtype=np.float32).ravel()
    if len(array) != length:
        raise InputError(f"weights must be one for each rating, {length}, got {len(array)}")
    if not (array.min() >= 0 and array.max() < np.inf):  # NaN is neither
        where = int(np.argmin(np.isfinite(array) & (array >= 0)))
        raise InputError(f"weights must be finite and not negative, got {array[where]} at position {where}")
    if not array.any():
        raise InputError("weights must not all be zero: a rating of weight 0 is left out, and none would be left")
    return array


def _sorted_with_weights(*columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Leave out what weighs nothing and sort by (user, item), stably."""
    counting = np.flatnonzero(columns[-1])
    order = counting[np.lexsort((columns[1][counting], columns[0][counting]))]
    return tuple(column[order] for column in columns)


def _sorted(users: NDArray[Any], items: NDArray[Any], values: NDArray[Any], n_users: int, n_items: int) -> Triples:
    """Sort by (user, item) and keep the order given within a pair: two stable sorts, minor key first."""
    starts, users, values = group(items, n_items, users, values)
    starts, items, values = group(users, n_users, _rows(starts, items.dtype), values)
    return _rows(starts, users.dtype), items, values


def _rows(indptr: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the row of each entry, shape (n_ratings,)."""
    return np.repeat(np.arange(len(indptr) - 1, dtype=dtype), np.diff(indptr))


def _last_of_each_pair(users: NDArray[Any], items: NDArray[Any], *others: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    last = np.ones(len(users), dtype=np.bool_)
    last[:-1] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    return tuple(column[last] for column in (users, items, *others))


def _copied(arrays: Triples, given: tuple[ArrayLike, ...]) -> Triples:
    """Copy what still is the caller's: `Ratings` freezes its arrays."""
    pairs = zip(arrays, given, strict=True)
    users, items, values = (a.copy() if np.may_share_memory(a, np.asarray(b)) else a for a, b in pairs)
    return users, items, values
