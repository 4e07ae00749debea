"""What a fitted factorisation can be asked, in the caller's own ids: predict, recommend, save, load.

A row that was not seen in training has no factors. With the policy "bias" it is answered for by the *average row*: the
mean of all trained rows of its side. Since r̂ is linear in each row, that is exactly the mean of the predictions over
all known users (or items); the known side keeps its own factors and bias.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError, NotFittedError, check_number
from nmf_scratch._estimator import Estimator
from nmf_scratch._random import RandomState
from nmf_scratch.baselines import most_rated
from nmf_scratch.data.pairs import UNKNOWN, PairEncoder
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.recommendation import NONE, top_n
from nmf_scratch.saving import load_model, save_model
from nmf_scratch.training import TrainingHistory

UNKNOWN_POLICIES = ("bias", "mean", "raise")


class FittedModel(Estimator):
    """The asking side of `NMF`; `NMF.fit` sets what it reads."""

    n_components: int
    biases: bool
    unknown: str
    n_threads: int | None
    random_state: RandomState
    history_: TrainingHistory
    items_: pd.DataFrame | None
    mean_rating_: float
    rating_scale_: tuple[float, float]
    key_: int
    _encoder: PairEncoder
    _ratings: Ratings
    _factors: Factors

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict the ratings of (user, item) pairs in raw ids, known or not.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, 2)

        Returns
        -------
        ndarray of float64, shape (n,)
            Clipped to the rating scale, never NaN. Unknown ids follow the `unknown` policy.

        Raises
        ------
        InputError
            If an id is unknown and the policy is "raise", or X is not a table of pairs.
        """
        self._check_fitted()
        users, items = self._encoder.transform(X)
        users, items = _known(users, self._ratings.user_counts), _known(items, self._ratings.item_counts)
        unknown = (users == UNKNOWN) | (items == UNKNOWN)
        if self.unknown == "raise" and unknown.any():
            raise InputError(f"{unknown.sum()} pairs have an id that was not seen in training (unknown='raise')")
        predictions = self._factors.with_average_rows(self._ratings).predict(users, items)
        if self.unknown == "mean":
            predictions[unknown] = self.mean_rating_
        return np.clip(predictions, *self.rating_scale_)

    def recommend(self, user: Any, n: int = 10, *, exclude_seen: bool = True) -> pd.DataFrame:
        """Recommend the n items with the highest scores.

        Parameters
        ----------
        user : id, or list-like of ids
            Raw user ids. A user not seen in training gets the most rated items (or an error with
            ``unknown="raise"``).
        n : int
            Length of each list; fewer where the items run out.
        exclude_seen : bool
            Whether to leave out what the user has rated.

        Returns
        -------
        DataFrame
            Columns item, score (predicted rating, unclipped) and, where known, title; a first column user for a list
            of users. Best first; ties by item id.

        Raises
        ------
        InputError
            If n is not a positive integer, or a user is unknown and the policy is "raise".
        """
        self._check_fitted()
        check_number("n", n, minimum=1, integer=True)
        if not pd.api.types.is_list_like(user):
            return self.recommend([user], n, exclude_seen=exclude_seen).drop(columns="user")
        users = list(user)
        codes = self.user_codes(users)
        if self.unknown == "raise" and (codes == UNKNOWN).any():
            raise InputError(f"user {users[int(np.argmin(codes))]!r} was not seen in training (unknown='raise')")
        items, scores = self._lists(codes, n, exclude_seen)
        listed = items != NONE
        table = self._table(items[listed], scores[listed])
        table.insert(0, "user", np.repeat(_as_column(users), listed.sum(axis=1)))
        return table

    def user_codes(self, users: Any) -> NDArray[Any]:
        """Return the row of each raw user id, shape (n,); −1 for one that was not seen in training."""
        self._check_fitted()
        return _known(self._encoder.user_codes(users), self._ratings.user_counts)

    def _lists(self, codes: NDArray[Any], n: int, exclude_seen: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Item codes and scores of each user, shape (n_users, ≤ n); lists that end early are filled up with −1."""
        rows = codes if exclude_seen else np.full_like(codes, UNKNOWN)
        items, scores = top_n(
            self._factors.W[codes], self._factors.H, n, seen=self._ratings.by_user, rows=rows,
            # An item without ratings has no factors of its own and is never recommended.
            allowed=self._ratings.item_counts > 0, n_threads=self.n_threads,
        )  # fmt: skip
        if (strangers := codes == UNKNOWN).any():
            popular = most_rated(self._ratings, items.shape[1])
            average = self._factors.with_average_rows(self._ratings).W[UNKNOWN]
            items[strangers], scores[strangers] = popular, self._factors.H[popular] @ average
        return items, scores

    def _table(self, items: NDArray[Any], scores: NDArray[Any]) -> pd.DataFrame:
        table = pd.DataFrame({"item": self.item_ids_[items], "score": scores.astype(np.float64)})
        if self.items_ is not None and "title" in self.items_:
            table["title"] = self.items_["title"].to_numpy()[items]
        return table

    @property
    def W_(self) -> NDArray[Any]:
        """User factors, shape (n_users, k)."""
        return self._fitted_factors().W[:, : self.n_components]

    @property
    def H_(self) -> NDArray[Any]:
        """Item factors, shape (n_items, k)."""
        return self._fitted_factors().H[:, : self.n_components]

    @property
    def user_bias_(self) -> NDArray[Any]:
        """Non-negative user biases, shape (n_users,), in the unit of the ratings; zeros without `biases`."""
        return self._fitted_factors().W[:, self.n_components] if self.biases else np.zeros(len(self.W_))

    @property
    def item_bias_(self) -> NDArray[Any]:
        """Non-negative item biases, shape (n_items,), in the unit of the ratings; zeros without `biases`."""
        return self._fitted_factors().H[:, self.n_components + 1] if self.biases else np.zeros(len(self.H_))

    @property
    def user_ids_(self) -> NDArray[Any]:
        """Raw user ids, sorted, shape (n_users,)."""
        self._check_fitted()
        return self._encoder.users.classes_

    @property
    def item_ids_(self) -> NDArray[Any]:
        """Raw item ids, sorted, shape (n_items,)."""
        self._check_fitted()
        return self._encoder.items.classes_

    @property
    def n_features_in_(self) -> int:
        """Number of columns of X, for scikit-learn: 2, the user and the item."""
        self._check_fitted()
        return 2

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the two columns, for scikit-learn; there are none if the model was not fitted to a DataFrame."""
        self._check_fitted()
        names = self._encoder.names
        if names is None or not all(isinstance(name, str) for name in names):
            raise AttributeError("feature_names_in_ exists only after fit was given a DataFrame with named columns")
        return np.array(names, dtype=object)

    def _fitted_factors(self) -> Factors:
        self._check_fitted()
        return self._factors

    def _check_fitted(self) -> None:
        if not hasattr(self, "_factors"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_factors")

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one .npz file: factors, id maps, training ratings, titles, parameters, history.

        Parameters
        ----------
        path : str or Path
            An existing file is replaced in one step; a crash leaves the old one.
        """
        self._check_fitted()
        save_model(self, path)

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = False) -> Self:
        """Read a model that `save` wrote; it predicts and recommends the same bits.

        Parameters
        ----------
        path : str or Path
        mmap : bool
            Whether to leave factors and ratings on the disk and map them into memory, read-only: loading then takes
            an instant whatever their size, and several processes share one copy. All of the file is verified but the
            content of these arrays; where it may be damaged or come from a stranger, load it as a whole.

        Raises
        ------
        InputError
            If the file is missing, damaged, of a newer version, or no model.
        """
        return load_model(cls, path, mmap=mmap)


def _as_column(ids: list[Any]) -> NDArray[Any]:
    """Ids as an array in which mixed types keep their own."""
    column = np.empty(len(ids), dtype=object)
    column[:] = ids
    return column


def _known(codes: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    """Treat a row that exists but has no rating like one that does not exist."""
    return np.where(np.append(counts, 0)[codes] > 0, codes, UNKNOWN)
