"""What a model learns later: new ratings, of old and new users and items (`NMF.partial_fit`).

The rows of the users and items with new ratings are solved again, exactly and in turns, against the rows of the other
side as they are (`nmf_scratch.fitted.fold_in`), whatever solver trained the model; all others keep their bits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.inputs import PairEncoder, encode, item_table
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.fitted.fold_in import with_best_rows
from nmf_scratch.fitted.state import Fitted, scale_of
from nmf_scratch.problem.factors import Factors

ROUNDS = 3
"""Times that the rows of items are solved; those of users once more."""


def updated(
    fitted: Fitted, X: Any, y: Any = None, weights: Any = None, *, rating_scale: Any, n_threads: int | None = None
) -> Fitted:
    """Learn from new ratings; see `NMF.partial_fit`.

    Parameters
    ----------
    fitted : Fitted
        It stays as it is, whatever happens.
    X, y, weights
        The new ratings, as `encode` takes them.
    rating_scale : "infer" or (float, float)
        As in `NMF`.
    n_threads : int, optional
        Never changes the result.
    """
    encoder, new = encode(X, y, weights)
    sides = (("users", fitted.ids.users, encoder.users), ("items", fitted.ids.items, encoder.items))
    merged = PairEncoder(
        *(LabelEncoder(unknown="code").fit(_joined(old.classes_, own.classes_, name)) for name, old, own in sides),
        names=fitted.ids.names,
    )
    # Where the rows of the model, and those of the new ratings, are among the merged ones.
    moves = [
        (to.transform(old.classes_), to.transform(own.classes_))
        for to, (_, old, own) in zip((merged.users, merged.items), sides, strict=True)
    ]
    shape = len(merged.users.classes_), len(merged.items.classes_)
    ratings = _merged(fitted.ratings, new, moves, shape)
    after = replace(
        fitted,
        ids=merged,
        ratings=ratings,
        factors=_moved_factors(fitted, moves, shape),
        mean_rating=ratings.mean,
        rating_scale=scale_of(ratings, rating_scale),
        items=_moved_items(fitted.items, item_table(X, merged.items.classes_), moves[1][0], shape[1]),
    )
    after.objective.check_values(ratings)
    touched = moves[0][1][new.users], moves[1][1][new.items]
    return replace(after, factors=_refined(after, *touched, n_threads))


def _moved_factors(fitted: Fitted, moves: list[Any], shape: tuple[int, int]) -> Factors:
    """Put the rows of both sides where their ids are now; average ones where an id is new."""
    average = fitted.factors.with_average_rows(fitted.ratings)
    W, H = (_moved(X, to[0], n) for X, to, n in zip((average.W, average.H), moves, shape, strict=True))
    return Factors(W, H, fitted.factors.biases)


def _refined(fitted: Fitted, users: NDArray[Any], items: NDArray[Any], n_threads: int | None) -> Factors:
    """Solve the rows of these users and items again."""
    factors, unit = fitted.factors.copy(), fitted.unit
    better = with_best_rows(
        factors.in_unit(1 / unit), fitted.terms.scaled(unit), fitted.objective,
        (np.unique(users), np.unique(items)), sides=(*(0, 1) * ROUNDS, 0), n_threads=n_threads,
    ).in_unit(unit)  # fmt: skip
    for X, solved, touched in ((factors.W, better.W, users), (factors.H, better.H, items)):
        X[touched] = solved[touched]  # all other rows keep their bits
    return factors


def _joined(old: NDArray[Any], added: NDArray[Any], side: str) -> NDArray[Any]:
    """Return the ids of both, in the dtype of the old ones as far as it holds the new ones."""
    if (old.dtype.kind in "iu") != (added.dtype.kind in "iu") and object not in (old.dtype, added.dtype):
        raise InputError(
            f"ids of {side} must be of the type that fit saw, {old.dtype}, got {added.dtype}: convert them"
        )
    if {old.dtype.kind, added.dtype.kind} == {"i", "u"}:  # together they would become floats
        if added.dtype.kind == "u" and (added > np.iinfo(np.int64).max).any():
            raise InputError(f"ids of {side} beyond 2**63 do not fit those that fit saw, {old.dtype}: convert them")
        added = added.astype(old.dtype if old.dtype.kind == "i" else np.int64)
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
