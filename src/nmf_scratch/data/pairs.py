"""From what callers pass (frames, arrays, their own ids) to encoded `Ratings`, and back.

Users and items are encoded separately, each column with its own dtype: an array that mixes integer users with text
items would turn all ids into text, so such input is a DataFrame or an object array, whose columns stay apart here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.ratings import Ratings

UNKNOWN = -1
"""Code of an id that was not seen in training."""


@dataclass(frozen=True)
class PairEncoder:
    """The two id maps of a model: raw ids to codes, −1 for ids not seen in training.

    Attributes
    ----------
    users, items : LabelEncoder
        Fitted encoders that map unseen ids to −1.
    """

    users: LabelEncoder
    items: LabelEncoder

    @classmethod
    def fit(cls, X: Any) -> PairEncoder:
        """Learn the ids of an (n, 2) table of users and items."""
        users, items = columns_of(X)
        return cls(LabelEncoder(unknown="code").fit(users), LabelEncoder(unknown="code").fit(items))

    def transform(self, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the codes of users and items, each of shape (n,); −1 where unseen."""
        users, items = columns_of(X)
        return self.users.transform(users), self.items.transform(items)


def columns_of(X: Any) -> tuple[Any, Any]:
    """Take the user and the item column out of an (n, 2) table.

    Parameters
    ----------
    X : DataFrame or array_like
        A frame with columns named "user" and "item", or any table of exactly two columns, users first.

    Raises
    ------
    InputError
        If the table has neither.
    """
    if isinstance(X, pd.DataFrame):
        if {"user", "item"} <= set(X.columns):
            return X["user"], X["item"]
        if X.shape[1] == 2:
            return X.iloc[:, 0], X.iloc[:, 1]
        raise InputError(f"X must have columns 'user' and 'item', or two columns in that order; got {list(X.columns)}")
    array = X if isinstance(X, np.ndarray) else _as_array(X)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"X must be a table of (user, item) pairs of shape (n, 2), got shape {array.shape}")
    users, items = array[:, 0], array[:, 1]
    return (users, items) if array.dtype != object else (_narrow(users), _narrow(items))


def _as_array(X: Any) -> NDArray[Any]:
    """Read a list of pairs without letting NumPy turn integers into text where one column is text."""
    plain = np.asarray(X)
    return plain if plain.dtype.kind in "iuf" else np.asarray(X, dtype=object)


def _narrow(column: NDArray[Any]) -> NDArray[Any]:
    """Give an object column its own dtype back: integers in an object array are still integers."""
    kind = pd.api.types.infer_dtype(column, skipna=False)
    return column.astype(np.int64) if kind == "integer" else column


def values_of(y: Any, length: int) -> NDArray[np.float32]:
    """Take the ratings as float32, shape (length,); refuse what is not a number."""
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"y must hold numbers, got {type(y).__name__} with text or missing values") from None
    if values.shape != (length,):
        raise InputError(f"y must hold one rating per row of X, shape ({length},); got shape {values.shape}")
    return values.astype(np.float32)


def split_table(X: Any, y: Any) -> tuple[Any, Any]:
    """Separate pairs and ratings when both came in one table: a `Dataset`, or a frame with a "rating" column."""
    if isinstance(X, Dataset):
        X = X.ratings
    if y is None and isinstance(X, pd.DataFrame) and {"user", "item", "rating"} <= set(X.columns):
        return X[["user", "item"]], X["rating"]
    if y is None:
        raise InputError("y is missing: pass the ratings, or a frame with columns user, item and rating")
    return X, y


def encode(X: Any, y: Any = None) -> tuple[PairEncoder, Ratings]:
    """Encode training data in any of the accepted forms.

    Parameters
    ----------
    X : Dataset, Ratings, DataFrame or array_like
        (user, item) pairs, with the ratings too where `y` is left out. `Ratings` are taken as they are: their codes
        are the ids.
    y : array_like of float, shape (n,), optional
        Ratings.

    Returns
    -------
    encoder : PairEncoder
    ratings : Ratings
    """
    if isinstance(X, Ratings):
        ids = (np.arange(X.n_users), np.arange(X.n_items))
        return PairEncoder(*(LabelEncoder(unknown="code").fit(codes) for codes in ids)), X
    X, y = split_table(X, y)
    if len(X) == 0:
        raise InputError("X is empty: pass at least one rating")
    encoder = PairEncoder(LabelEncoder(unknown="code"), LabelEncoder(unknown="code"))
    user_ids, item_ids = columns_of(X)
    users, items = encoder.users.fit_transform(user_ids), encoder.items.fit_transform(item_ids)
    values = values_of(y, len(users))
    n_users, n_items = len(encoder.users.classes_), len(encoder.items.classes_)
    return encoder, Ratings.from_arrays(users, items, values, n_users=n_users, n_items=n_items, copy=False)


ITEM_COLUMNS = ("title", "year", "genres")
"""What a model keeps of the item table."""


def item_table(X: Any, item_ids: NDArray[Any]) -> pd.DataFrame | None:
    """Return what is known of the items, one row per id in the given order; None where X says nothing of them."""
    if not isinstance(X, Dataset) or X.items is None:
        return None
    known = X.items.drop_duplicates("item").set_index("item")
    return known[[name for name in ITEM_COLUMNS if name in known]].reindex(item_ids).reset_index(drop=True)
