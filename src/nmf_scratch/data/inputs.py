"""From what callers pass (frames, arrays, matrices, their own ids) to encoded `Ratings`, and back.

Users and items are encoded separately, each column with its own dtype: an array that mixes integer users with text
items would turn all ids into text, so such input is a DataFrame or an object array, whose columns stay apart here.

A matrix of users × items is taken where it cannot be mistaken for a table of pairs, and where it says which cells were
observed: a sparse matrix stores them, a dense one has NaN elsewhere. A dense matrix without NaN is refused: read as it
stands, each zero in it would be a rating.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.encoder import LabelEncoder, check_exact
from nmf_scratch.data.ratings import Ratings

UNKNOWN = -1
"""Code of an id that was not seen in training."""

NAMES = ("user", "item")
"""The columns of a table of pairs."""

MAX_TABLE_COLUMNS = 4
"""User, item, rating and time; a wider array of floats is a matrix of users × items."""

PACKAGE = __name__.split(".")[0]

LOOKED_AT = 100
"""How many unseen ids are examined for having the wrong type."""


@dataclass(frozen=True)
class PairEncoder:
    """The two id maps of a model: raw ids to codes, −1 for ids not seen in training.

    Attributes
    ----------
    users, items : LabelEncoder
        Fitted encoders that map unseen ids to −1.
    names : (str, str) or None
        What the columns of the training table were called; they are found again by name, in any order.
    """

    users: LabelEncoder
    items: LabelEncoder
    names: tuple[Any, Any] | None = field(default=None, kw_only=True)

    @classmethod
    def fit_transform(
        cls, users: Any, items: Any, names: tuple[Any, Any] | None = None
    ) -> tuple[PairEncoder, NDArray[Any], NDArray[Any]]:
        """Learn two columns of ids; return the encoder and both columns of codes."""
        encoders = LabelEncoder(unknown="code"), LabelEncoder(unknown="code")
        codes = []
        for name, encoder, ids in zip(NAMES, encoders, (users, items), strict=True):
            with _naming(name):
                codes.append(encoder.fit_transform(ids))
        return cls(*encoders, names=names), codes[0], codes[1]

    def transform(self, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the codes of users and items, each of shape (n,); −1 where unseen."""
        users, items = columns_of(X, self.names)
        return self.user_codes(users), self.item_codes(items)

    def user_codes(self, ids: Any) -> NDArray[Any]:
        """Return the codes of raw user ids, shape (n,); −1 where unseen, with a warning if the type is to blame."""
        return _codes("user", self.users, ids)

    def item_codes(self, ids: Any) -> NDArray[Any]:
        """Return the codes of raw item ids, shape (n,); −1 where unseen, with a warning if the type is to blame."""
        return _codes("item", self.items, ids)


@contextmanager
def _naming(side: str) -> Iterator[None]:
    """Say which column an error of the encoder is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{side} ids: {error}") from None


def _codes(side: str, encoder: LabelEncoder, ids: Any) -> NDArray[Any]:
    ids = ids if hasattr(ids, "__getitem__") or not isinstance(ids, Iterable) else list(ids)  # sets, generators
    with _naming(side):
        codes = encoder.transform(ids)
    unseen = np.flatnonzero(codes == UNKNOWN)[:LOOKED_AT]
    column = getattr(ids, "iloc", ids)
    for label in (column[int(place)] for place in unseen):
        label = label.item() if isinstance(label, np.generic) else label
        twin = _other_type(label, encoder.classes_)
        if twin is not None and encoder.transform([twin])[0] != UNKNOWN:
            warnings.warn(
                f"{side} {label!r} was not seen in training, but {twin!r} was: pass ids of the type that fit was given",
                stacklevel=outside(),
            )
            break
    return codes


def outside() -> int:
    """Return the stack level, for a warning of the caller, of whoever called this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] == PACKAGE:
        level, frame = level + 1, frame.f_back
    return level


def _other_type(label: Any, known: NDArray[Any]) -> Any:
    """Return a text as the number, or a number as the text, that the known ids would have; None where they agree."""
    if isinstance(label, str) and known.dtype.kind in "iuf":
        try:
            return known.dtype.type(label).item()
        except (ValueError, OverflowError):
            return None
    return str(label) if isinstance(label, (int, float)) and len(known) and isinstance(known[0], str) else None


def as_table(X: Any) -> Any:
    """Return `Dataset`, `Ratings`, and tables of other libraries (polars, pyarrow) as a frame; others as they are."""
    if isinstance(X, Dataset):
        return X.ratings
    if isinstance(X, Ratings):
        return pd.DataFrame({"user": X.users, "item": X.items, "rating": X.values})
    if isinstance(X, (Iterator, np.matrix)):  # zip(users, items); of a matrix, columns are matrices again
        return list(X) if isinstance(X, Iterator) else np.asarray(X)
    return _to_pandas(X) if hasattr(X, "to_pandas") else X


def _to_pandas(X: Any) -> Any:
    """Turn a table of another library into a frame; polars without pyarrow only knows the way through lists."""
    try:
        return X.to_pandas()
    except ImportError:
        return pd.DataFrame(X.to_dict(as_series=False))


def _names_of(X: Any) -> tuple[Any, Any] | None:
    if not isinstance(X, pd.DataFrame) or set(NAMES) <= set(X.columns):
        return NAMES if isinstance(X, pd.DataFrame) else None
    first, second = X.columns[:2]
    return first, second


def columns_of(X: Any, names: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """Take the user and the item column out of an (n, 2) table.

    Parameters
    ----------
    X : DataFrame or array_like
        A frame with columns named "user" and "item", or any table of exactly two columns, users first.
    names : (str, str), optional
        Other names that the columns may have.

    Raises
    ------
    InputError
        If the table has neither.
    """
    X = as_table(X)
    if isinstance(X, pd.DataFrame):
        for user, item in (names or NAMES, NAMES):
            if {user, item} <= set(X.columns):
                return _narrow(X[user]), _narrow(X[item])
        if X.shape[1] == 2:
            return _narrow(X.iloc[:, 0]), _narrow(X.iloc[:, 1])
        raise InputError(f"X must have columns 'user' and 'item', or two columns in that order; got {list(X.columns)}")
    array = X if isinstance(X, np.ndarray) else _as_array(X)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"X must be a table of (user, item) pairs of shape (n, 2), got shape {array.shape}")
    return _narrow(array[:, 0]), _narrow(array[:, 1])


def _as_array(X: Any) -> NDArray[Any]:
    """Read a list of pairs without letting NumPy turn integers into text where one column is text."""
    if issparse(X):
        raise InputError("X is a sparse matrix where (user, item) pairs are needed: pass an (n, 2) table")
    try:
        plain = np.asarray(X)
        if plain.size == 0 and plain.ndim == 1:
            return np.empty((0, 2), dtype=np.int64)  # no pairs
        # Integers beside floats, or beside unsigned ones, have become floats by now.
        return plain if plain.dtype.kind in "iu" else np.asarray(X, dtype=object)
    except ValueError:
        raise InputError("X must be a table of (user, item) pairs, but its rows differ in length") from None


def _narrow(column: Any) -> Any:
    """Give an object column its own dtype back: integers in an object array are still integers."""
    if column.ndim != 1:
        raise InputError(f"X has several columns named {column.columns[0]!r}: rename all but one")
    kind = pd.api.types.infer_dtype(column, skipna=False) if column.dtype == object else ""
    if kind == "mixed-integer-float":
        check_exact(column)
    return pd.Series(column).infer_objects() if kind in ("integer", "floating", "mixed-integer-float") else column


def values_of(y: Any, length: int, name: str = "y") -> NDArray[np.float32]:
    """Take the ratings as float32, shape (length,), from a list, an array or a column; refuse what is not a number."""
    y = list(y) if isinstance(y, Iterator) else y
    is_masked = isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y)
    if is_masked or getattr(getattr(y, "dtype", None), "kind", "") in ("m", "M"):
        what = "masked entries" if is_masked else f"times ({y.dtype})"
        raise InputError(f"{name} must hold numbers, got {what}: convert them, or leave these rows out")
    try:
        with warnings.catch_warnings(category=np.exceptions.ComplexWarning, action="error"):
            values = np.asarray(y, dtype=np.float64)
    except np.exceptions.ComplexWarning:
        raise InputError(f"{name} must hold real numbers. Complex data not supported: pass {name}.real") from None
    except (TypeError, ValueError):
        raise InputError(f"{name} must hold numbers, got {_first_text(y)}: convert or drop it") from None
    if values.shape not in ((length,), (length, 1)):
        raise InputError(f"{name} must hold one number per row of X, shape ({length},); got shape {values.shape}")
    return values.astype(np.float32).ravel()


def _first_text(y: Any) -> str:
    """Say which rating is no number, and where."""
    column = pd.Series(np.asarray(y, dtype=object).ravel())
    where = int(np.argmax(pd.to_numeric(column, errors="coerce").isna()))
    return f"{column.iloc[where]!r} at position {where}"


class Read(NamedTuple):
    """Ratings as the caller has them, one row each.

    Attributes
    ----------
    users, items : ndarray or Series, shape (n,)
        Raw ids.
    values : ndarray of float32, shape (n,)
    times : ndarray, shape (n,), or None
        Column "timestamp", where there is one.
    names : (str, str) or None
        What the columns of ids were called.
    """

    users: Any
    items: Any
    values: NDArray[np.float32]
    times: NDArray[Any] | None
    names: tuple[Any, Any] | None


def read_input(X: Any, y: Any = None, *, choices: bool = False) -> Read:
    """Read ratings in any form that callers may pass; see `encode`."""
    if y is not None and (issparse(X) or isinstance(X, Ratings)):
        raise InputError(f"X is a {type(X).__name__}, sparse with ratings of its own: leave y out")
    X = as_table(X)
    X = as_table(_from_matrix(X) if y is None else X)
    times = np.asarray(X["timestamp"]) if isinstance(X, pd.DataFrame) and "timestamp" in X else None
    pairs, y = (X, y) if y is not None else _split(X, choices)
    users, items = columns_of(pairs)
    values = np.ones(len(users), np.float32) if y is None else values_of(y, len(users))
    return Read(users, items, values, times, _names_of(pairs))


def _split(X: Any, choices: bool) -> tuple[Any, Any]:
    """Separate pairs and ratings when both came in one; None for ratings where pairs alone will do."""
    if isinstance(X, (list, tuple)) and len(X) and all(isinstance(row, (list, tuple)) and len(row) == 3 for row in X):
        users, items, ratings = ([row[place] for row in X] for place in range(3))
        return list(zip(users, items, strict=True)), ratings
    if isinstance(X, pd.DataFrame) and {"user", "item", "rating"} <= set(X.columns):
        return X[["user", "item"]], X["rating"]
    if choices:
        return X, None
    raise InputError(
        "y is missing: pass the ratings, or a frame with columns user, item and rating; "
        "a matrix of users × items with NaN where nothing was rated goes through Ratings.from_dense(X)"
    )


def issparse(X: Any) -> bool:
    """Tell whether X is a sparse matrix; SciPy, which is slow to load, is asked only if it could have made one."""
    return "scipy.sparse" in sys.modules and bool(sys.modules["scipy.sparse"].issparse(X))


def _from_matrix(X: Any) -> Any:
    """Read a matrix of users × items as what was observed in it; anything else is returned as it is."""
    if issparse(X):
        return Ratings.from_sparse(X)
    if isinstance(X, pd.DataFrame) and X.columns.name is not None and not set(NAMES) <= set(X.columns):
        return _from_pivot(X)
    is_matrix = isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] > MAX_TABLE_COLUMNS and X.dtype.kind == "f"
    if not is_matrix:
        return X
    if not np.isnan(np.ma.filled(X, np.nan)).any():
        raise InputError(f"{_full(X.shape)}, or pass Ratings.from_dense(X) if every cell was")
    return Ratings.from_dense(X)


def _from_pivot(X: pd.DataFrame) -> pd.DataFrame:
    """Read what `pivot` makes: it names what runs down and what runs across, which other tables do not."""
    if all(name is None for name in X.index.names):
        raise InputError(
            f"the columns of X are called {X.columns.name!r}, as pivot calls them, but its rows have no name: make the "
            "users its index, X.set_index(...); or, if X is a table of pairs, call its columns user, item and rating"
        )
    try:
        cells = X.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"X, users down and items across, must hold numbers, or NaN where nothing was rated: {error}"
        ) from None
    observed = ~np.isnan(cells)
    if observed.all() and (cells == 0).any():
        raise InputError(f"{_full(X.shape)}, as in X.where(X > 0)")
    rows, columns = np.nonzero(observed)
    return pd.DataFrame({"user": X.index[rows], "item": X.columns[columns], "rating": cells[rows, columns]})


def _full(shape: tuple[int, ...]) -> str:
    what = f"X is a full matrix of shape {shape}, in which every 0 would be a rating"
    return f"{what}: put NaN where nothing was rated"


def encode(X: Any, y: Any = None, weights: Any = None, *, choices: bool = False) -> tuple[PairEncoder, Ratings]:
    """Encode training data in any of the accepted forms.

    Parameters
    ----------
    X : DataFrame, array_like, Dataset, Ratings or sparse matrix
        (user, item) pairs, with the ratings too where `y` is left out. `Ratings` and matrices are taken as they are:
        the positions of rows and columns are the ids.
    y : array_like of float, shape (n,), optional
        Ratings.
    weights : array_like of float, shape (n,), optional
        How often each row of X counts.
    choices : bool
        Whether pairs will do without ratings: then a pair is rated by how often it occurs.

    Returns
    -------
    encoder : PairEncoder
    ratings : Ratings
    """
    X = X if isinstance(X, (Dataset, Ratings)) else as_table(X)
    X = _from_matrix(X) if y is None else X
    if isinstance(X, Ratings) and y is None:
        if weights is not None:
            raise InputError(
                "sample_weight goes with rows of X, which here is a matrix or Ratings: pass Ratings that hold weights"
            )
        ids = (np.arange(X.n_users), np.arange(X.n_items))
        return PairEncoder(*(LabelEncoder(unknown="code").fit(codes) for codes in ids)), X
    users, items, values, _, names = read_input(X, y, choices=choices)
    if len(values) == 0:
        raise InputError("X is empty: pass at least one rating")
    encoder, users, items = PairEncoder.fit_transform(users, items, names)
    if weights is not None:
        weights = values_of(weights, len(users), "sample_weight")
    n_users, n_items = len(encoder.users.classes_), len(encoder.items.classes_)
    if choices and weights is None and (values == 1).all():
        pairs, times = np.unique(users.astype(np.int64) * n_items + items, return_counts=True)
        users, items, values = pairs // n_items, pairs % n_items, times.astype(np.float32)
    return encoder, Ratings.from_arrays(
        users, items, values, weights=weights, n_users=n_users, n_items=n_items, copy=False
    )


ITEM_COLUMNS = ("title", "year", "genres")
"""What a model keeps of the item table."""


def item_table(X: Any, item_ids: NDArray[Any]) -> pd.DataFrame | None:
    """Return what is known of the items, one row per id in the given order; None where X says nothing of them."""
    if not isinstance(X, Dataset) or X.items is None:
        return None
    known = X.items.drop_duplicates("item").set_index("item")
    return known[[name for name in ITEM_COLUMNS if name in known]].reindex(item_ids).reset_index(drop=True)
