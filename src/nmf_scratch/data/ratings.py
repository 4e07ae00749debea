"""The observed ratings as arrays: `Ratings`, and the two compressed views that kernels walk through.

A rating is a triple (user, item, value) with users and items already encoded as 0, 1, 2, … . `Ratings` keeps the
triples in one canonical order, sorted by (user, item), so that nothing downstream depends on the order of the lines in
a file. From it come two views of the same numbers:

- `by_user` (compressed sparse rows): the ratings of user u are entries ``indptr[u] … indptr[u+1]``;
- `by_item` (compressed sparse columns): the same, grouped by item.

Both are built by *counting sort*: count how often each key occurs, turn the counts into starting positions, drop every
entry into its place. That is O(n_ratings + n_keys), against O(n log n) for a comparison sort, and it is stable, which
makes sorting by two keys a matter of sorting twice (least significant key first).

Only observed pairs exist here. A pair that is absent is unknown, not zero.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch._jit import kernel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MAX_INT32 = np.iinfo(np.int32).max


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
    """

    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    values: NDArray[Any]


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
    """

    users: NDArray[Any]
    items: NDArray[Any]
    values: NDArray[Any]
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        for array in (self.users, self.items, self.values):
            array.flags.writeable = False

    @classmethod
    def from_arrays(
        cls,
        users: ArrayLike,
        items: ArrayLike,
        values: ArrayLike,
        *,
        n_users: int | None = None,
        n_items: int | None = None,
    ) -> Ratings:
        """Validate, sort and de-duplicate triples; of equal (user, item) pairs the last one given is kept.

        Parameters
        ----------
        users, items : array_like of int, shape (n_ratings,)
            Codes, 0 or more.
        values : array_like of float, shape (n_ratings,)
            Finite ratings, 0 or more.
        n_users, n_items : int, optional
            Shape of the matrix; by default one more than the largest code.

        Returns
        -------
        Ratings

        Raises
        ------
        InputError
            If lengths differ, there is no rating, a code is out of range, or a rating is negative, NaN or infinite.
        """
        values = np.asarray(values, dtype=np.float32).ravel()
        users, n_users = _check_codes("users", users, n_users, len(values))
        items, n_items = _check_codes("items", items, n_items, len(values))
        _check_values(values)
        order = _sorting_order(users, items, n_users, n_items)
        order = order[_last_of_each_pair(users[order], items[order])]
        if len(order) < len(values):
            repeats = len(values) - len(order)
            warnings.warn(f"{repeats} repeated (user, item) pairs: the last rating of each was kept", stacklevel=2)
        return cls(users[order], items[order], values[order], n_users, n_items)

    @classmethod
    def from_sparse(cls, matrix: Any) -> Ratings:
        """Take the explicitly stored entries of a SciPy sparse matrix, zeros included, as the observed ratings."""
        coo = matrix.tocoo()
        return cls.from_arrays(coo.row, coo.col, coo.data, n_users=coo.shape[0], n_items=coo.shape[1])

    @classmethod
    def from_dense(cls, matrix: ArrayLike) -> Ratings:
        """Take every entry of a dense (n_users, n_items) matrix that is not NaN as an observed rating."""
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
        return Compressed(_row_starts(self.users, self.n_users), self.items, self.values)

    @cached_property
    def by_item(self) -> Compressed:
        """The ratings grouped by item, users ascending within an item."""
        indptr, order = counting_sort(self.items, self.n_items)
        view = Compressed(indptr, self.users[order], self.values[order])
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
        return np.bincount(self.items, minlength=self.n_items).astype(np.int64)

    @property
    def T(self) -> Ratings:
        """The same ratings with the roles of users and items swapped."""
        users = np.repeat(np.arange(self.n_items, dtype=self.items.dtype), self.item_counts)
        return Ratings(users, self.by_item.indices, self.by_item.values, self.n_items, self.n_users)

    def take(self, index: ArrayLike) -> Ratings:
        """Return the ratings at the given positions (in any order), in a matrix of the same shape."""
        kept = np.sort(np.asarray(index, dtype=np.intp))
        return Ratings(self.users[kept], self.items[kept], self.values[kept], self.n_users, self.n_items)

    def with_values(self, values: NDArray[Any]) -> Ratings:
        """Return the same pairs with other values (scaled ratings, residuals), in the dtype given."""
        return Ratings(self.users, self.items, values, self.n_users, self.n_items)

    def to_sparse(self) -> csr_array:
        """Return a SciPy CSR array of shape (n_users, n_items) that stores exactly the observed entries."""
        from scipy.sparse import csr_array

        return csr_array((self.values, self.items, self.by_user.indptr), shape=self.shape)


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
    check_number(f"n_{name}", size, minimum=1, integer=True)
    if low < 0 or high >= size:
        raise InputError(f"{name} must be codes from 0 to {size - 1}, got {low if low < 0 else high}")
    return array.astype(np.int32 if size <= _MAX_INT32 else np.int64, copy=False), size


def _check_values(values: NDArray[np.float32]) -> None:
    good = np.isfinite(values) & (values >= 0)
    if not good.all():
        where = int(np.argmin(good))
        raise InputError(
            f"ratings must be finite and not negative, got {values[where]} at position {where}; "
            "shift the scale so that its lowest rating is 0 or more"
        )


def _sorting_order(users: NDArray[Any], items: NDArray[Any], n_users: int, n_items: int) -> NDArray[np.int64]:
    """Order that sorts by (user, item) and keeps file order within a pair: two stable sorts, minor key first."""
    _, by_item = counting_sort(items, n_items)
    _, by_user = counting_sort(users[by_item], n_users)
    order: NDArray[np.int64] = by_item[by_user]
    return order


def _last_of_each_pair(users: NDArray[Any], items: NDArray[Any]) -> NDArray[np.bool_]:
    last = np.ones(len(users), dtype=np.bool_)
    last[:-1] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    return last


def _row_starts(sorted_rows: NDArray[Any], n_rows: int) -> NDArray[np.int64]:
    starts = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(sorted_rows, minlength=n_rows), out=starts[1:])
    starts.flags.writeable = False
    return starts


@kernel
def counting_sort(keys: NDArray[Any], n_keys: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort integer keys stably in O(n + n_keys).

    Parameters
    ----------
    keys : ndarray of int, shape (n,)
        Codes 0 … n_keys − 1.
    n_keys : int
        Number of distinct codes possible.

    Returns
    -------
    indptr : ndarray of int64, shape (n_keys + 1,)
        Where each key's run starts in the sorted order.
    order : ndarray of int64, shape (n,)
        Positions that sort the keys.
    """
    indptr = np.zeros(n_keys + 1, dtype=np.int64)
    for key in keys:
        indptr[key + 1] += 1
    for key in range(n_keys):
        indptr[key + 1] += indptr[key]
    place = indptr[:-1].copy()
    order = np.empty(len(keys), dtype=np.int64)
    for position in range(len(keys)):
        key = keys[position]
        order[place[key]] = position
        place[key] += 1
    return indptr, order
