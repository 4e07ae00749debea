"""Rows for new ratings: with the other side fixed, what is the best row.

Someone new has rated a few items. The items' rows are known, so the new row is the small problem that a user's row is
in every half-step of `als`, with the same penalty: (ALS.1) and (ALS.2), solved exactly by the kernels of
`nmf_scratch.solvers.nnls`. No other row moves (Sarwar et al., *Incremental singular value
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

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._html import summary
from nmf_scratch._jit import kernel, threads
from nmf_scratch.data.ratings import Compressed, Ratings, weight_of_rows, weights_at
from nmf_scratch.factors import NO_COLUMN, Columns, Factors
from nmf_scratch.objective import FLOOR, Objective, Penalty
from nmf_scratch.solvers.als import (
    CHUNK,
    LANES,
    explained,
    in_float64,
    normal_equations,
    padded,
    singular_in,
    solve_rows,
    sum_products,
)
from nmf_scratch.solvers.base import even_spans, in_dtype
from nmf_scratch.solvers.multiplicative import exponents, multiply_rows, shares
from nmf_scratch.solvers.nnls import descend, pivot

PARALLEL_FROM = 2_000
"""Ratings that are worth several threads."""

DESCENT = (1000, 1e-10)
"""Sweeps and tolerance of the descent that a singular row falls back to, as in `als`."""

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
        self._partners = padded(self._fixed, self._columns.n_latent)
        self._explained = explained(self._fixed, self._columns)

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
        penalty = in_float64(self._objective.penalty(self._side, weight_of_rows(view), dtype))
        options = (True, singular_in(dtype), *DESCENT)
        arguments = (rows, self._partners, self._explained, penalty, self._columns, options)
        if len(view.values) < PARALLEL_FROM:  # not worth a parallel region, nor waiting for a fit in another thread
            solve_few(view, *arguments)
        else:
            with threads(n_threads):
                solve_rows(view, even_spans(view), *arguments)
        return rows

    def _multiply(self, view: Compressed, n_threads: int | None) -> NDArray[Any]:
        number = self._fixed.dtype.type
        # Zero could never be left.
        level = np.maximum(self._rows.mean(axis=0, dtype=np.float64), FLOOR)
        rows = np.tile(level.astype(number), (len(view.indptr) - 1, 1))
        penalty = self._objective.penalty(self._side, weight_of_rows(view), self._fixed.dtype)
        gammas = tuple(number(gamma) for gamma in exponents(self._objective))
        loss = (number(self._objective.loss), number(FLOOR))
        with threads(1 if len(view.values) < PARALLEL_FROM else n_threads):
            work = shares(view, self._fixed)
            for _ in range(SWEEPS):
                multiply_rows(view, work, rows, self._fixed, penalty, self._columns, loss, gammas)
        return rows


@dataclass(frozen=True, eq=False)
class FoldedUser:
    """Someone the model was not trained on, as far as it can tell from a few ratings.

    Attributes
    ----------
    factors : ndarray, shape (k,)
        Latent factors, in √(unit of the ratings).
    bias : float
        In the unit of the ratings; 0 in a model without biases.
    items : ndarray
        Raw ids of the rated items that the model knows.
    ratings : ndarray of float, shape (n_known,)
        Their ratings.
    unknown_items : ndarray
        Raw ids of the rated items that it does not know, and that tell it nothing.
    """

    factors: NDArray[Any]
    bias: float
    items: NDArray[Any]
    ratings: NDArray[Any]
    unknown_items: NDArray[Any]
    row: NDArray[Any] = field(repr=False)
    codes: NDArray[Any] = field(repr=False)

    def _repr_html_(self) -> str:
        unknown = f", and {len(self.unknown_items)} that the model does not know" if len(self.unknown_items) else ""
        strongest = ", ".join(
            f"factor {f} ({self.factors[f]:.2f})" for f in np.argsort(-self.factors, kind="stable")[:3]
        )
        sentence = (
            f"A new user with {len(self.items)} ratings{unknown}. Bias {self.bias:.2f}; strongest in {strongest}."
        )
        return summary(sentence, ["item", "rating"], list(zip(self.items, self.ratings.tolist(), strict=True)))

    @property
    def known(self) -> bool:
        """Whether any rating was of use; if not, the row is an average user's."""
        return len(self.codes) > 0


def take_rows(view: Compressed, rows: NDArray[Any]) -> Compressed:
    """Return the ratings of these rows alone, in this order."""
    lengths = np.diff(view.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.repeat(view.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
    weights = weights_at(view.weights, positions)
    return Compressed(indptr, view.indices[positions], view.values[positions], weights)


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


@kernel
def solve_few(
    view: Compressed,
    W: NDArray[Any],
    partners: NDArray[Any],
    explained: NDArray[Any],
    penalty: Penalty,
    columns: Columns,
    options: tuple[bool, float, int, float],
) -> None:
    """Do what `als.solve_rows` does, on the calling thread; that one loses a tenth of its speed if it calls this."""
    k, width = columns.n_latent, partners.shape[1]
    copies = np.zeros((CHUNK, width + LANES), partners.dtype)
    sums, totals = np.empty((width + 4, width), partners.dtype), np.empty(2, partners.dtype)
    n_free = k + (columns.free_bias >= 0)
    A, d, w = np.empty((n_free, n_free)), np.empty(n_free), np.empty(n_free)
    for u in range(len(W)):
        observed = slice(view.indptr[u], view.indptr[u + 1])
        own = view.indices[observed], view.values[observed], view.weights[observed]
        sum_products(own, partners, explained, copies, sums, totals)
        normal_equations(sums, totals, penalty, u, k, A, d)
        for f in range(n_free):
            w[f] = 0
        if not (options[0] and pivot(A, d, w, options[1])):
            descend(A, d, w, options[2], options[3])
        for f in range(k):
            W[u, f] = w[f]
        if columns.free_bias >= 0:
            W[u, columns.free_bias] = w[k]
