"""What a fitted factorisation can be asked, in the caller's own ids: predict, save, load.

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

from nmf_scratch._check import InputError, NotFittedError
from nmf_scratch._estimator import Estimator
from nmf_scratch._random import RandomState
from nmf_scratch.data.inputs import UNKNOWN, PairEncoder, columns_of
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.fitted.fold_in import FoldedUser
from nmf_scratch.fitted.model_file import load_model, save_model
from nmf_scratch.training import TrainingHistory

UNKNOWN_POLICIES = ("bias", "mean", "raise")

OBJECT = np.dtype(object)


class FittedModel(Estimator):
    """What the other sides of `NMF` build on; `NMF.fit` sets what it reads."""

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
            In the place of a user id there may be a `FoldedUser`.

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
        user_ids, item_ids = columns_of(X, self._encoder.names)
        (users, folded), items = self._codes_of(user_ids), self.item_codes(item_ids)
        unknown = (users == UNKNOWN) | (items == UNKNOWN)
        if self.unknown == "raise" and unknown.any():
            raise InputError(f"{unknown.sum()} pairs have an id that was not seen in training (unknown='raise')")
        factors = self._factors
        if unknown.any() or folded:  # a copy of all rows, not to be made for nothing
            factors = factors.with_average_rows(self._ratings)
        if folded:  # their codes follow on the others; the average row stays the last
            W = np.vstack([factors.W[:UNKNOWN], *(user.row for user in folded), factors.W[UNKNOWN]])
            factors = Factors(W, factors.H, factors.biases)
        predictions = factors.predict(users, items)
        if self.unknown == "mean":
            predictions[unknown] = self.mean_rating_
        return np.clip(predictions, *self.rating_scale_)

    def user_codes(self, users: Any) -> NDArray[Any]:
        """Return the row of each raw user id, shape (n,); −1 for one that was not seen in training."""
        self._check_fitted()
        return _known(self._encoder.user_codes(users), self._ratings.user_counts)

    def item_codes(self, items: Any) -> NDArray[Any]:
        """Return the row of each raw item id, shape (n,); −1 for one that was not seen in training."""
        self._check_fitted()
        return _known(self._encoder.item_codes(items), self._ratings.item_counts)

    def _codes_of(self, users: Any) -> tuple[NDArray[Any], list[FoldedUser]]:
        """Return codes of raw ids and folded-in users, and the latter; theirs count on from the number of users."""
        given = as_column(users) if getattr(users, "dtype", OBJECT) == OBJECT else ()
        is_folded = np.array([isinstance(user, FoldedUser) for user in given], dtype=bool)
        if not is_folded.any():
            return self.user_codes(users), []
        folded, codes = list(given[is_folded]), np.full(len(given), UNKNOWN)
        if not is_folded.all():
            codes[~is_folded] = self.user_codes(list(given[~is_folded]))
        is_known = [user.known for user in folded]
        codes[is_folded] = np.where(is_known, len(self._factors.W) + np.arange(len(folded)), UNKNOWN)
        return codes, folded

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


def as_column(ids: Any) -> NDArray[Any]:
    """Return ids as an array in which mixed types keep their own."""
    column = np.empty(len(ids), dtype=object)
    column[:] = ids
    return column


def _known(codes: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    """Treat a row that exists but has no rating like one that does not exist."""
    return np.where(np.append(counts, 0)[codes] > 0, codes, UNKNOWN)
