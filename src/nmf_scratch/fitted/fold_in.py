"""Rows for new ratings: with the other side fixed, what is the best row.

Someone new has rated a few items. The items' rows are known, so the new row is the small problem that a user's row is
in every half-step of `als`, with the same penalty: (ALS.1) and (ALS.2), solved exactly by the kernels of
`nmf_scratch.solvers.exact_rows`. No other row moves (Sarwar et al., *Incremental singular value
decomposition algorithms*, ICCIT 2002, call that folding in). The ridge counts the *new* ratings, as it counted
everybody else's, and the bias is drawn to the common level: who has rated little is taken for an average person.

A row is solved from zero, not from where it happens to be. Where its problem has one solution that makes no difference;
where it has many (no ridge, and fewer ratings than factors), the same ratings always give the same row.

Other divergences have no closed form. There, `SWEEPS` multiplicative updates (MU.4) of the row start from the average
of the rows there are; for 1 ≤ β < 2 the problem is convex, so that where they end does not depend on it.

A row that a stochastic solver hardly visits is in the same position: after sixty epochs an item with two ratings was
moved 120 times, and still holds much of its random start. So such fits end by solving the rows with fewer than
`exact_below` ratings, first the items', then the users':

    h_i ← argmin over h ≥ 0 of  Σ_u ½ (r_ui − w_u · h)² + Σ_f λ_if φ_f(h_f)      for n_i < exact_below,    w_u likewise
                                                                                                        (FOLD.1)

Cost: O(n_new · K² + K³) per row, some microseconds; O(n_items · K) once per model.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch._jit import threads
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.inputs import UNKNOWN, outside, read_input, values_of
from nmf_scratch.data.ratings import Compressed, Ratings, ones, take_rows, weight_of_rows
from nmf_scratch.fitted.state import Fitted, FoldedUser, as_column, fingerprint
from nmf_scratch.problem.factors import NO_COLUMN, Columns, Factors
from nmf_scratch.problem.objective import FLOOR, Objective
from nmf_scratch.solvers.exact_rows import fixed, solve
from nmf_scratch.solvers.multiplicative import exponents, multiply_rows, shares
from nmf_scratch.solvers.rows import even_spans, in_dtype

PARALLEL_ROWS = 2_000
"""Ratings that are worth several threads."""

SHOWN = 3
"""A warning shows at most this many ids."""

SWEEPS = 500
"""Multiplicative updates of a row where the loss is not squared error."""


class RowSolver:
    """Finds best rows of one side, the other side fixed.

    Parameters
    ----------
    factors : Factors
        For ratings scaled to a mean of 1, as in training.
    objective : Objective
        The problem.
    side : {0, 1}
        Whose rows to find: 0 the users', 1 the items'.
    """

    def __init__(self, factors: Factors, objective: Objective, side: int) -> None:
        self._rows, self._fixed = (factors.W, factors.H) if side == 0 else (factors.H, factors.W)
        self._columns: Columns = factors.columns[side]
        self._objective, self._side = objective, side
        self._partners = fixed(self._fixed, self._columns, objective.unobserved_weight)

    def solve(self, view: Compressed, *, n_threads: int | None = None) -> NDArray[Any]:
        """Return the best row for each row of ratings.

        Parameters
        ----------
        view : Compressed
            Ratings of the new rows, scaled to a mean of 1 in training; columns are rows of the fixed side.
        n_threads : int, optional
            For many rows; never changes the result.

        Returns
        -------
        ndarray, shape (n_rows, K)
            In the dtype of the factors, frozen column included. A row without ratings has nothing but a bias.
        """
        dtype = self._fixed.dtype
        view = in_dtype(dtype, view)
        if self._objective.loss != 2:
            return self._multiply(view, n_threads)
        rows = np.zeros((len(view.indptr) - 1, self._fixed.shape[1]), dtype)
        if self._columns.frozen != NO_COLUMN:
            rows[:, self._columns.frozen] = 1
        penalty = self._objective.penalty(self._side, weight_of_rows(view), dtype, len(self._fixed))
        problem = view, rows, self._partners, penalty, self._columns
        if len(view.values) < PARALLEL_ROWS:
            solve(*problem)
        else:
            with threads(n_threads):
                solve(*problem, spans=even_spans(view))
        return rows

    def _multiply(self, view: Compressed, n_threads: int | None) -> NDArray[Any]:
        number = self._fixed.dtype.type
        # Zero could never be left.
        level = np.maximum(self._rows.mean(axis=0, dtype=np.float64), FLOOR)
        rows = np.tile(level.astype(number), (len(view.indptr) - 1, 1))
        penalty = self._objective.penalty(self._side, weight_of_rows(view), self._fixed.dtype, len(self._fixed))
        powers = tuple(number(power) for power in exponents(self._objective))
        loss = (number(self._objective.loss), number(FLOOR))
        with threads(1 if len(view.values) < PARALLEL_ROWS else n_threads):
            work = shares(view, self._fixed)
            for _ in range(SWEEPS):
                multiply_rows(view, work, rows, self._fixed, penalty, self._columns, loss, powers)
        return rows


def rows_below(ratings: Ratings, threshold: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of users and of items with at least one rating and fewer than `threshold`."""
    counts = ratings.user_counts, ratings.item_counts
    users, items = (np.flatnonzero((n > 0) & (n < threshold)) for n in counts)
    return users, items


def with_best_rows(
    factors: Factors,
    ratings: Ratings,
    objective: Objective,
    rows: tuple[NDArray[Any], NDArray[Any]],
    *,
    sides: Sequence[int] = (1, 0),
    n_threads: int | None = None,
) -> Factors:
    """Return factors in which some rows are the best for the other side's rows, one side after the other.

    Parameters
    ----------
    factors : Factors
        For ratings scaled to a mean of 1; they stay as they are.
    ratings : Ratings
        Those scaled ratings.
    objective : Objective
        The problem.
    rows : (ndarray of int, ndarray of int)
        Which rows of users and of items to solve; all others are kept.
    sides : sequence of {0, 1}
        In which order: 0 the users, 1 the items. The side that comes last ends at its minimum, equation (FOLD.1).
    n_threads : int, optional
        Never changes the result.
    """
    factors = factors.copy()
    views = [
        view if len(chosen) == len(view.indptr) - 1 else take_rows(view, chosen)
        for view, chosen in zip((ratings.by_user, ratings.by_item), rows, strict=True)
    ]
    for side in (side for side in sides if len(rows[side])):
        best = RowSolver(factors, objective, side).solve(views[side], n_threads=n_threads)
        (factors.W, factors.H)[side][rows[side]] = best  # (FOLD.1)
    return factors


def fold_in(fitted: Fitted, ratings: Any, *, n_threads: int | None = None) -> FoldedUser:
    """Find the row of somebody new from their ratings; see `NMF.fold_in`."""
    items, values = _items_and_ratings(ratings)
    return _folded(fitted, np.zeros(len(values), np.int64), items, values, 1, n_threads)[0]


def fold_in_many(fitted: Fitted, X: Any, y: Any = None, *, n_threads: int | None = None) -> dict[Any, FoldedUser]:
    """Find the rows of many new users at once; see `NMF.fold_in_many`."""
    given, encoder = read_input(X, y), LabelEncoder()
    users = encoder.fit_transform(given.users)
    folded = _folded(fitted, users, given.items, given.values, len(encoder.classes_), n_threads)
    return dict(zip(encoder.classes_.tolist(), folded, strict=True))


def _folded(
    fitted: Fitted, users: NDArray[Any], items: Any, values: NDArray[np.float32], n_users: int, n_threads: int | None
) -> list[FoldedUser]:
    """Fold in users 0 … n_users − 1, each of whom may have any number of ratings."""
    codes = fitted.item_codes(items) if len(values) else np.zeros(0, dtype=np.int64)
    known = codes != UNKNOWN
    _check_given(fitted, values, known, items)
    ratings = _by_user(users[known], codes[known], values[known], (n_users, len(fitted.factors.H)))
    if fitted.unknown == "raise" and not np.diff(ratings.indptr).all():
        raise InputError("none of the rated items was seen in training (unknown='raise'): rate others")
    rows, raw = _rows_for(fitted, ratings, n_threads), fitted.item_ids[ratings.indices]
    others = as_column(items)[~known] if not known.all() else as_column([])
    order = np.argsort(users[~known], kind="stable")
    ends, others = np.searchsorted(users[~known][order], np.arange(n_users + 1)), others[order]
    k = fitted.factors.n_components
    biases = rows[:, k] if fitted.factors.biases else np.zeros(n_users)
    folded = []
    for u in range(n_users):
        mine = slice(ratings.indptr[u], ratings.indptr[u + 1])
        parts = raw[mine], ratings.values[mine], others[ends[u] : ends[u + 1]], rows[u], ratings.indices[mine]
        folded.append(FoldedUser(rows[u, :k], float(biases[u]), *parts, fitted.once(fingerprint)))
    return folded


def _check_given(fitted: Fitted, values: NDArray[np.float32], known: NDArray[np.bool_], items: Any) -> None:
    """Warn of what a new row cannot, or should not, be found from."""
    if n_unknown := int(np.sum(~known)):
        shown = ", ".join(repr(item) for item in dict.fromkeys(as_column(items)[~known][:SHOWN].tolist()))
        what = f"{n_unknown} of {len(known)} rated items were not seen in training"
        warnings.warn(f"{what} and are left out: {shown}{', …' * (n_unknown > SHOWN)}", stacklevel=outside())
    low, high = fitted.rating_scale
    if len(values) and not low <= values.min() <= values.max() <= high:
        what = f"ratings from {values.min():g} to {values.max():g} go beyond the model's scale"
        warnings.warn(f"{what}, {low:g} to {high:g}: are they in its unit?", stacklevel=outside())


def _rows_for(fitted: Fitted, ratings: Compressed, n_threads: int | None) -> NDArray[Any]:
    """Return the best rows, in the unit of the ratings; an average row where there are none."""
    preference = fitted.preference
    scaled = ratings._replace(values=preference.targets(ratings.values) / np.float32(fitted.unit))
    if preference.levels:
        scaled = scaled._replace(weights=preference.confidence(ratings.values))
    rows = fitted.once(user_solver).solve(scaled, n_threads=n_threads)
    rows = Factors(rows, rows[:0], fitted.factors.biases).in_unit(fitted.unit).W
    if (unknown := np.diff(ratings.indptr) == 0).any():
        rows[unknown] = fitted.factors.W[fitted.ratings.user_counts > 0].mean(axis=0)
    return rows


def user_solver(fitted: Fitted) -> RowSolver:
    """Prepare what solves rows of users against those of the items; ask for it by `fitted.once`."""
    return RowSolver(fitted.factors.in_unit(1 / fitted.unit), fitted.objective, 0)


def _items_and_ratings(ratings: Any) -> tuple[Any, NDArray[np.float32]]:
    """Read what `fold_in` takes: items in raw ids, and one rating for each."""
    if isinstance(ratings, pd.DataFrame):
        named = {"item", "rating"} <= set(ratings.columns)
        if not named and ratings.shape[1] != 2:
            raise InputError(f"ratings must have columns 'item' and 'rating', or two columns; got {list(ratings)}")
        table = ratings[["item", "rating"]] if named else ratings
        return table.iloc[:, 0], values_of(table.iloc[:, 1], len(table))
    if isinstance(ratings, str) or not isinstance(ratings, Iterable):
        raise InputError(f"ratings must be pairs such as [(item, rating), …], got {ratings!r}")
    pairs = list(ratings.items() if isinstance(ratings, Mapping) else ratings)
    if not all(isinstance(pair, (tuple, list, np.ndarray)) and len(pair) == 2 for pair in pairs):
        raise InputError("ratings must be pairs such as [(item, rating), …], {item: rating} or a frame of both")
    return [item for item, _ in pairs], values_of([rating for _, rating in pairs], len(pairs))


def _by_user(users: NDArray[Any], items: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]) -> Compressed:
    """Group ratings by user; of repeated pairs the last counts. Unlike `Ratings`, there may be none."""
    if not len(values):
        return Compressed(np.zeros(shape[0] + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), ones())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*repeated .user, item. pairs")
        return Ratings.from_arrays(users, items, values, n_users=shape[0], n_items=shape[1]).by_user
