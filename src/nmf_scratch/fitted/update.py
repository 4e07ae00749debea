"""What a fitted factorisation learns later: rows for strangers (`fold_in`), and new ratings (`partial_fit`).

`fold_in` answers "what would this person like?" without changing the model. `partial_fit` changes it: the rows of the
users and items with new ratings are solved again, in turns, all others stay. Both solve rows exactly, against the rows
of the other side as they are (`nmf_scratch.fitted.fold_in`), whatever solver trained the model.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.inputs import UNKNOWN, PairEncoder, columns_of, encode, item_table, split_table, values_of
from nmf_scratch.data.ratings import Compressed, Ratings, ones
from nmf_scratch.factors import BIAS_LEVEL, Factors
from nmf_scratch.fitted.fold_in import FoldedUser, RowSolver, with_best_rows
from nmf_scratch.fitted.lists import ListingModel
from nmf_scratch.fitted.state import as_column
from nmf_scratch.objective import Objective

Strength = float | tuple[float, float] | str

ROUNDS = 3
"""Times that `partial_fit` solves the rows of items; those of users once more."""

SHOWN = 3
"""A warning shows at most this many ids."""


class UpdatableModel(ListingModel):
    """The side of `NMF` that learns after `fit`."""

    alpha_: Strength
    alpha_bias_: Strength
    l1_ratio: float
    weighting: str | float
    loss: float
    rating_scale: str | tuple[float, float]
    _prepared: tuple[Factors, RowSolver] | None = None
    _named: tuple[Factors, list[str]] | None = None

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn factors from observed ratings."""
        raise TypeError(f"{type(self).__name__} must define fit")

    def partial_fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from new ratings, of old and new users and items; before `fit` it is `fit`.

        Only the rows of users and items with new ratings are solved again, exactly and in turns, from *all* their
        ratings; other rows stay as they are. Parameters, and what "auto" was resolved to, stay too, and so does the
        history of the fit.

        Parameters
        ----------
        X, y
            The new ratings, in any form that `fit` takes. A pair that is known gets the new rating.
        sample_weight : array_like of float, shape (n,), optional
            How often each new rating counts, 0 or more; once by default. Old ratings keep their weights.

        Returns
        -------
        NMF
            Itself, updated.

        Raises
        ------
        InputError
            On data that cannot be used, or ids of another type than those of the fit; the model then stays as it was.
        """
        if not hasattr(self, "_factors"):
            return self.fit(X, y, sample_weight)
        encoder, new = encode(X, y, sample_weight)
        sides = (("users", self._encoder.users, encoder.users), ("items", self._encoder.items, encoder.items))
        merged = PairEncoder(
            *(LabelEncoder(unknown="code").fit(_joined(old.classes_, own.classes_, name)) for name, old, own in sides),
            names=self._encoder.names,
        )
        encoders = merged.users, merged.items
        # Where the rows of the model, and those of the new ratings, are among the merged ones.
        moves = [
            (to.transform(old.classes_), to.transform(own.classes_))
            for to, (_, old, own) in zip(encoders, sides, strict=True)
        ]
        shape = len(merged.users.classes_), len(merged.items.classes_)
        ratings = _merged(self._ratings, new, moves, shape)
        table = _moved_items(self.items_, item_table(X, merged.items.classes_), moves[1][0], shape[1])
        average = self._factors.with_average_rows(self._ratings)
        W, H = (_moved(X, to[0], n) for X, to, n in zip((average.W, average.H), moves, shape, strict=True))
        self._learn_scale(ratings)  # refuses what cannot be used; nothing was changed until here
        self._encoder, self._ratings, self.items_ = merged, ratings, table
        self._refine(Factors(W, H, self.biases), moves[0][1][new.users], moves[1][1][new.items])
        return self

    def _refine(self, factors: Factors, users: NDArray[Any], items: NDArray[Any]) -> None:
        """Solve the rows of these users and items again."""
        better = with_best_rows(
            factors.in_unit(1 / self._unit), self._scaled(self._ratings), self._objective(),
            (np.unique(users), np.unique(items)), sides=(*(0, 1) * ROUNDS, 0), n_threads=self.n_threads,
        ).in_unit(self._unit)  # fmt: skip
        for X, solved, touched in ((factors.W, better.W, users), (factors.H, better.H, items)):
            X[touched] = solved[touched]  # all other rows keep their bits
        self._factors = factors

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
        self.mean_rating_ = ratings.mean


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


def _joined(old: NDArray[Any], added: NDArray[Any], side: str) -> NDArray[Any]:
    """Return the ids of both, in the dtype of the old ones as far as it holds the new ones."""
    if (old.dtype.kind in "iu") != (added.dtype.kind in "iu") and object not in (old.dtype, added.dtype):
        raise InputError(
            f"ids of {side} must be of the type that fit saw, {old.dtype}, got {added.dtype}: convert them"
        )
    joined = np.concatenate([old, added])
    same = joined.astype(old.dtype) if old.dtype.kind in "iuf" and joined.dtype.kind in "iuf" else joined
    return same if (same == joined).all() else joined


def _moved(rows: NDArray[Any], to: NDArray[Any], n_rows: int) -> NDArray[Any]:
    """Put rows, the last of which is the average, where their ids are now; the average where an id is new."""
    moved = np.tile(rows[-1], (n_rows, 1))
    moved[to] = rows[:-1]
    return moved


def _moved_items(
    old: pd.DataFrame | None, new: pd.DataFrame | None, to: NDArray[Any], n_items: int
) -> pd.DataFrame | None:
    """Return the item table in the new order; where both tables know something, the new one counts."""
    if old is not None:
        old = old.set_axis(to).reindex(range(n_items))
    if old is None or new is None:
        return new if old is None else old
    joined: pd.DataFrame = new.combine_first(old)[list(dict.fromkeys([*old, *new]))]
    return joined


def _merged(old: Ratings, new: Ratings, moves: list[Any], shape: tuple[int, int]) -> Ratings:
    """Return all ratings in the new codes; a pair that both have gets the new rating."""
    users, items = moves[0][0][old.users], moves[1][0][old.items]
    new_users, new_items = moves[0][1][new.users], moves[1][1][new.items]
    n_items = np.int64(shape[1])
    kept = ~np.isin(users * n_items + items, new_users * n_items + new_items)
    pairs = ((users[kept], new_users), (items[kept], new_items), (old.values[kept], new.values))
    weights = None
    if old.weights is not None or new.weights is not None:
        once = [np.ones(len(part), np.float32) if part.weights is None else part.weights for part in (old, new)]
        weights = np.concatenate([once[0][kept], once[1]])
    return Ratings.from_arrays(*map(np.concatenate, pairs), weights=weights, n_users=shape[0], n_items=shape[1])


def _by_user(users: NDArray[Any], items: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]) -> Compressed:
    """Group ratings by user; of repeated pairs the last counts. Unlike `Ratings`, there may be none."""
    if not len(values):
        return Compressed(np.zeros(shape[0] + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), ones())
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
