"""What a fitted factorisation can be asked, in the caller's own ids: predict, save, load.

A row that was not seen in training has no factors. With the policy "bias" it is answered for by the *average row*: the
mean of all trained rows of its side. Since r̂ is linear in each row, that is exactly the mean of the predictions over
all known users (or items); the known side keeps its own factors and bias.
"""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch._estimator import Estimator
from nmf_scratch._random import RandomState
from nmf_scratch._version import __version__
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.pairs import UNKNOWN, PairEncoder, columns_of
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.folding import FoldedUser
from nmf_scratch.persistence import load_arrays, save_arrays, storable
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.training import EpochRecord, TrainingHistory

UNKNOWN_POLICIES = ("bias", "mean", "raise")

OBJECT = np.dtype(object)

SAVED_NUMBERS = (
    "alpha_",
    "alpha_bias_",
    "max_iter_",
    "n_iter_",
    "stop_reason_",
    "mean_rating_",
    "rating_scale_",
    "key_",
)
"""Attributes that the header of a model file holds, besides the parameters and the events of the history."""


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
        user_ids, item_ids = columns_of(X)
        (users, folded), items = self._codes_of(user_ids), self.item_codes(item_ids)
        unknown = (users == UNKNOWN) | (items == UNKNOWN)
        if self.unknown == "raise" and unknown.any():
            raise InputError(f"{unknown.sum()} pairs have an id that was not seen in training (unknown='raise')")
        factors = self._factors.with_average_rows(self._ratings)
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
        return _known(self._encoder.users.transform(users), self._ratings.user_counts)

    def item_codes(self, items: Any) -> NDArray[Any]:
        """Return the row of each raw item id, shape (n,); −1 for one that was not seen in training."""
        self._check_fitted()
        return _known(self._encoder.items.transform(items), self._ratings.item_counts)

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

    def _fitted_factors(self) -> Factors:
        self._check_fitted()
        return self._factors

    def _check_fitted(self) -> None:
        if not hasattr(self, "_factors"):
            raise InputError(f"this {type(self).__name__} is not fitted yet: call fit first")

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one .npz file: factors, id maps, training ratings, titles, parameters, history.

        Parameters
        ----------
        path : str or Path
            An existing file is replaced in one step; a crash leaves the old one.
        """
        self._check_fitted()
        arrays = {
            "W": self._factors.W,
            "H": self._factors.H,
            "user_ids": storable(self.user_ids_),
            "item_ids": storable(self.item_ids_),
            "ratings_users": self._ratings.users,
            "ratings_items": self._ratings.items,
            "ratings_values": self._ratings.values,
            "history": np.array(self.history_.records, dtype=np.float64),
            **_item_arrays(self.items_),
        }
        header = {
            "package_version": __version__,
            "params": _storable_params(self.get_params()),
            "events": self.history_.events,
            **{name: getattr(self, name) for name in SAVED_NUMBERS},
        }
        save_arrays(path, arrays, header)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that `save` wrote; it predicts and recommends the same bits.

        Raises
        ------
        InputError
            If the file is missing, damaged, of a newer version, or no model.
        """
        arrays, header = load_arrays(path)
        model = cls(**_restored_params(header["params"]))
        for name in SAVED_NUMBERS:
            value = header[name]
            setattr(model, name, tuple(value) if isinstance(value, list) else value)
        model._factors = Factors(arrays["W"], arrays["H"], model.biases)
        ids = (LabelEncoder(unknown="code").fit(arrays[name]) for name in ("user_ids", "item_ids"))
        model._encoder = PairEncoder(*ids)
        triples = (arrays["ratings_users"], arrays["ratings_items"], arrays["ratings_values"])
        model._ratings = Ratings(*triples, len(arrays["W"]), len(arrays["H"]))
        model.items_ = _item_frame(arrays)
        records = [EpochRecord(int(row[0]), *row[1:]) for row in arrays["history"].tolist()]
        model.history_ = TrainingHistory(records, header["events"])
        return model


def as_column(ids: Any) -> NDArray[Any]:
    """Return ids as an array in which mixed types keep their own."""
    column = np.empty(len(ids), dtype=object)
    column[:] = ids
    return column


def _known(codes: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    """Treat a row that exists but has no rating like one that does not exist."""
    return np.where(np.append(counts, 0)[codes] > 0, codes, UNKNOWN)


def _storable_params(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON: a solver object as its name and fields; callbacks and generators stay behind."""
    kept = {name: value for name, value in params.items() if name != "callbacks"}
    if not isinstance(kept["init"], str):
        kept["init"] = "scaled"  # the caller's arrays; training is over
    if is_dataclass(kept["solver"]) and not isinstance(kept["solver"], type):
        kept["solver"] = {"name": kept["solver"].name, **asdict(kept["solver"])}  # type: ignore[attr-defined]
    if isinstance(kept["random_state"], np.random.Generator):
        kept["random_state"] = None
    return kept


def _restored_params(params: dict[str, Any]) -> dict[str, Any]:
    restored = {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}
    if isinstance(restored["solver"], dict):
        fields = dict(restored["solver"])
        restored["solver"] = SOLVERS[fields.pop("name")](**fields)
    return restored


def _item_arrays(items: pd.DataFrame | None) -> dict[str, NDArray[Any]]:
    """Columns of the item table as text arrays (missing years become empty text)."""
    if items is None:
        return {}
    return {f"items_{name}": items[name].astype("string").fillna("").to_numpy(dtype=np.str_) for name in items}


def _item_frame(arrays: dict[str, NDArray[Any]]) -> pd.DataFrame | None:
    columns = {name.removeprefix("items_"): array for name, array in arrays.items() if name.startswith("items_")}
    if not columns:
        return None
    frame = pd.DataFrame({name: array.astype(object) for name, array in columns.items()})
    if "year" in frame:
        frame["year"] = pd.to_numeric(frame["year"].replace("", None)).astype("Int64")
    return frame
