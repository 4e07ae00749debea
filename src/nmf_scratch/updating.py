"""What a fitted factorisation learns later: rows for strangers (`fold_in`), and new ratings (`partial_fit`).

`fold_in` answers "what would this person like?" without changing the model. `partial_fit` changes it: the rows of the
users and items with new ratings are solved again, in turns, all others stay. Both solve rows exactly, against the rows
of the other side as they are (`nmf_scratch.folding`), whatever solver trained the model.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.pairs import UNKNOWN, columns_of, split_table, values_of
from nmf_scratch.data.ratings import Compressed, Ratings
from nmf_scratch.factors import BIAS_LEVEL, Factors
from nmf_scratch.fitted import as_column
from nmf_scratch.folding import FoldedUser, RowSolver
from nmf_scratch.listing import ListingModel
from nmf_scratch.objective import Objective

Strength = float | tuple[float, float] | str

SHOWN = 3
"""A warning shows at most this many ids."""


class UpdatableModel(ListingModel):
    """The side of `NMF` that learns after `fit`."""

    alpha_: Strength
    alpha_bias_: Strength
    l1_ratio: float
    weighting: str
    loss: float
    rating_scale: str | tuple[float, float]
    _prepared: tuple[Factors, RowSolver] | None = None

    def fold_in(self, ratings: Any) -> FoldedUser:
        """Find the row of somebody new from their ratings; the model stays as it is.

        Parameters
        ----------
        ratings : DataFrame, mapping or sequence of pairs
            Items, in raw ids, and ratings, in the unit of the training: a frame with columns "item" and "rating" (or
            two columns in that order), {item: rating}, or [(item, rating), …]. Of repeated items the last counts.

        Returns
        -------
        FoldedUser
            `predict`, `recommend` and `explain` take it in place of a user id. If the model knows none of the items,
            it is answered for like an unknown user.

        Raises
        ------
        InputError
            If a rating is no finite number ≥ 0, or no item is known and the policy is "raise".

        Warns
        -----
        UserWarning
            About items that the model does not know, which are left out, and ratings outside its scale.

        Examples
        --------
        >>> from nmf_scratch import NMF
        >>> pairs = [("ann", "dune"), ("ann", "solaris"), ("bob", "dune"), ("bob", "emma"), ("eve", "emma")]
        >>> model = NMF(n_components=2, random_state=0).fit(pairs, [5, 4, 4, 1, 2])
        >>> new = model.fold_in([("dune", 5), ("emma", 1)])
        >>> model.recommend(new)["item"].tolist()
        ['solaris']
        """
        self._check_fitted()
        items, values = _items_and_ratings(ratings)
        return self._fold(np.zeros(len(values), np.int64), items, values, 1)[0]

    def fold_in_many(self, X: Any, y: ArrayLike | None = None) -> dict[Any, FoldedUser]:
        """Find the rows of many new people at once.

        Parameters
        ----------
        X, y
            (user, item) pairs and ratings, in any form that `fit` takes. The user ids are only names here: those of
            trained users are folded in too, and the model's own rows are not looked at.

        Returns
        -------
        dict
            A `FoldedUser` for each user id, in sorted order. Warnings and errors are those of `fold_in`.
        """
        self._check_fitted()
        pairs, values = split_table(X, y)
        user_ids, items = columns_of(pairs)
        encoder = LabelEncoder()
        users = encoder.fit_transform(user_ids)
        folded = self._fold(users, items, values_of(values, len(users)), len(encoder.classes_))
        return dict(zip(encoder.classes_.tolist(), folded, strict=True))

    def _fold(self, users: NDArray[Any], items: Any, values: NDArray[np.float32], n_users: int) -> list[FoldedUser]:
        """Fold in users 0 … n_users − 1, each of whom may have any number of ratings."""
        codes = self.item_codes(items) if len(values) else np.zeros(0, dtype=np.int64)
        known = codes != UNKNOWN
        self._check_given(values, known, items)
        ratings = _by_user(users[known], codes[known], values[known], (n_users, len(self._factors.H)))
        if self.unknown == "raise" and not np.diff(ratings.indptr).all():
            raise InputError("none of the rated items was seen in training (unknown='raise'): rate others")
        rows, raw = self._rows_for(ratings), self.item_ids_[ratings.indices]
        strange = as_column(items)[~known] if not known.all() else as_column([])
        order = np.argsort(users[~known], kind="stable")
        strange_ends, strange = np.searchsorted(users[~known][order], np.arange(n_users + 1)), strange[order]
        biases, k = rows[:, self.n_components] if self.biases else np.zeros(n_users), self.n_components
        folded = []
        for u in range(n_users):
            mine = slice(ratings.indptr[u], ratings.indptr[u + 1])
            others = strange[strange_ends[u] : strange_ends[u + 1]]
            parts = float(biases[u]), raw[mine], ratings.values[mine], others, rows[u], ratings.indices[mine]
            folded.append(FoldedUser(rows[u, :k], *parts))
        return folded

    def _check_given(self, values: NDArray[np.float32], known: NDArray[np.bool_], items: Any) -> None:
        """Warn of what a new row cannot, or should not, be found from."""
        if n_strange := int(np.sum(~known)):
            shown = ", ".join(repr(item) for item in dict.fromkeys(as_column(items)[~known][:SHOWN].tolist()))
            what = f"{n_strange} of {len(known)} rated items were not seen in training"
            warnings.warn(f"{what} and are left out: {shown}{', …' * (n_strange > SHOWN)}", stacklevel=4)
        low, high = self.rating_scale_
        if len(values) and not low <= values.min() <= values.max() <= high:
            what = f"ratings from {values.min():g} to {values.max():g} go beyond the model's scale"
            warnings.warn(f"{what}, {low:g} to {high:g}: are they in its unit?", stacklevel=4)

    def _rows_for(self, ratings: Compressed) -> NDArray[Any]:
        """Return the best rows, in the unit of the ratings; an average row where there are none."""
        scaled = ratings._replace(values=ratings.values / np.float32(self._unit))
        rows = self._user_solver().solve(scaled, n_threads=self.n_threads)
        rows = Factors(rows, rows[:0], self.biases).in_unit(self._unit).W
        if (strangers := np.diff(ratings.indptr) == 0).any():
            rows[strangers] = self._factors.W[self._ratings.user_counts > 0].mean(axis=0)
        return rows

    def _user_solver(self) -> RowSolver:
        """Return what solves user rows against the item rows, prepared once per fit."""
        if self._prepared is None or self._prepared[0] is not self._factors:
            solver = RowSolver(self._factors.in_unit(1 / self._unit), self._objective(), 0)
            self._prepared = (self._factors, solver)
        return self._prepared[1]

    # --- the problem, in the unit of training -----------------------------------------------------------------------

    @property
    def _unit(self) -> float:
        """What a scaled rating of 1 is worth: ratings are divided by it before they are fitted."""
        return self.mean_rating_ or 1.0

    def _scaled(self, ratings: Ratings) -> Ratings:
        return ratings.with_values(ratings.values / np.float32(self._unit))

    def _objective(self) -> Objective:
        """Return the problem that the parameters describe."""
        sides = _both_sides("alpha", self.alpha_), _both_sides("alpha_bias", self.alpha_bias_)
        return Objective(*sides, BIAS_LEVEL, l1_ratio=self.l1_ratio, weighting=self.weighting, loss=self.loss)

    def _learn_scale(self, ratings: Ratings) -> None:
        values = ratings.values
        if self.loss == 0 and (values == 0).any():
            raise InputError(
                "loss=0 (Itakura-Saito) has no value at a rating of 0: use a loss above 0, or shift the scale"
            )
        inferred = (float(values.min()), float(values.max()))
        self.rating_scale_ = inferred if self.rating_scale == "infer" else _checked_scale(self.rating_scale, inferred)
        self.mean_rating_ = float(values.mean(dtype=np.float64))


def _items_and_ratings(ratings: Any) -> tuple[Any, NDArray[np.float32]]:
    """Read what `fold_in` takes: items in raw ids, and one rating for each."""
    if isinstance(ratings, pd.DataFrame):
        named = {"item", "rating"} <= set(ratings.columns)
        if not named and ratings.shape[1] != 2:
            raise InputError(f"ratings must have columns 'item' and 'rating', or two columns; got {list(ratings)}")
        table = ratings[["item", "rating"]] if named else ratings
        return table.iloc[:, 0], values_of(table.iloc[:, 1], len(table))
    pairs = list(ratings.items() if isinstance(ratings, Mapping) else ratings)
    if not all(isinstance(pair, (tuple, list, np.ndarray)) and len(pair) == 2 for pair in pairs):
        raise InputError("ratings must be pairs such as [(item, rating), …], {item: rating} or a frame of both")
    return [item for item, _ in pairs], values_of([rating for _, rating in pairs], len(pairs))


def _by_user(users: NDArray[Any], items: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]) -> Compressed:
    """Group ratings by user; of repeated pairs the last counts. Unlike `Ratings`, there may be none."""
    if not len(values):
        return Compressed(np.zeros(shape[0] + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*repeated .user, item. pairs")
        return Ratings.from_arrays(users, items, values, n_users=shape[0], n_items=shape[1]).by_user


def _both_sides(name: str, strength: Any) -> tuple[float, float]:
    """Read one strength for both sides, or a pair (users, items)."""
    pair = strength if isinstance(strength, (tuple, list)) else (strength, strength)
    if len(pair) != 2:
        raise InputError(f"{name} must be a number, a pair (users, items) or 'auto', got {strength!r}")
    for value in pair:
        check_number(name, value, minimum=0.0)
    return float(pair[0]), float(pair[1])


def _checked_scale(scale: Any, inferred: tuple[float, float]) -> tuple[float, float]:
    """Read a pair (lo, hi) that holds all training ratings."""
    if not isinstance(scale, (tuple, list)) or len(scale) != 2:
        raise InputError(f"rating_scale must be 'infer' or a pair (lowest, highest), got {scale!r}")
    for bound in scale:
        check_number("rating_scale", bound)
    if not scale[0] <= inferred[0] <= inferred[1] <= scale[1]:
        raise InputError(f"rating_scale={scale!r} must hold all ratings, which span {inferred}")
    return float(scale[0]), float(scale[1])
