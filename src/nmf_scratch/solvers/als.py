"""Alternating non-negative least squares, each row solved exactly (Kim & Park 2011; on ratings: Zhou et al. 2008).

Idea: with H fixed, every user has a small problem of their own, a bowl with a lowest point. Do not step towards it: go
there. Over the free columns, with what the frozen one explains taken off each rating (h_i,frozen; without biases 0),
user u minimises ½ w·Aw − d·w, where

    A_fj = Σ_i∈Ω_u h_if h_ij + λ_uf (1−ρ) [f = j]                                                   (ALS.1)
    d_f  = Σ_i∈Ω_u (r_ui − h_i,frozen) h_if + λ_uf ((1−ρ) m_f − ρ)                                  (ALS.2)

A row w ≥ 0 is lowest when its slope Aw − d is nowhere negative, and zero where w is positive. So all there is to find
out is *which* entries are positive. For a guess S, with zeros outside it, linear algebra does the rest:

    A_SS w_S = d_S,   by Cholesky: A_SS = L Lᵀ                                                      (ALS.3)
    g_f = Σ_j∈S A_fj w_j − d_f           for f outside S                                            (ALS.4)
    V = {f in S: w_f < 0} ∪ {f outside S: g_f < 0};   S ← S with the entries of V changed over      (ALS.5)

until V is empty: *block principal pivoting*. If V has not shrunk to a new low for a few rounds, only its last entry
changes over, which cannot cycle. The first guess is the support of the row as it is; late in a run it is right at once.

A_SS is singular when there are fewer ratings than columns and no ridge. Then (ALS.3) has no single solution, the lowest
points fill a line or more, and the row goes downhill from where it is, entry after entry, until nothing moves:

    w_f ← max(0, w_f − g_f / A_ff)       with g kept equal to Aw − d                                (ALS.6)

`method="descent"` does so for every row, as cmfrec does. Derived, with an example by hand, in
docs/alternating-least-squares.md.

A row's problem is solved in float64 whatever the factors are: A has the square of the condition number of the h_i, so
1000 there would leave one of float32's seven digits, and (ALS.5) decides by sign. Cost: O(n_ratings · K²) for the sums,
O(K³) per row and guess. Epochs are dear, and few are needed. The objective never goes up, and since both halves are
exact, every limit point is stationary (Grippo & Sciandrone 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_choice, check_number
from nmf_scratch._jit import kernel, parallel_kernel
from nmf_scratch.data.ratings import Compressed, Ratings
from nmf_scratch.factors import NO_COLUMN, Columns, Factors
from nmf_scratch.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.extrapolation import extrapolated_epoch, prepare_extrapolation

METHODS = ("pivoting", "descent")

SINGULAR = 1e-10
"""A Cholesky pivot below this share of its diagonal entry is rounding, not curvature: the matrix counts as singular."""

SLACK = 1e-12
"""Numbers are zero below this share of what they were computed from; else rounding would decide what is positive.

Entries are compared by w_f √A_ff, the length of what they predict: a column may be as small as its partners are large.
"""

PATIENCE = 3
"""Rounds that may pass without fewer wrong signs than ever before, until entries change over one at a time."""

ROUNDS = 500
"""Rounds after which rounding must be to blame (a handful is usual), and descent takes over."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class AlternatingLeastSquares:
    """Alternating non-negative least squares.

    Parameters
    ----------
    method : {"pivoting", "descent"}
        How a row is solved: block principal pivoting, or coordinate descent on the Gram matrix.
    descent_sweeps : int
        Coordinate descent ends after so many sweeps over a row at the latest.
    tolerance : float
        Coordinate descent ends when no entry moves by more than this share of the largest, as far as predictions go.
    extrapolate : bool
        Whether to go on in the direction of the last epoch, see `nmf_scratch.solvers.extrapolation`.
    """

    method: str = "pivoting"
    descent_sweeps: int = 1000
    tolerance: float = 1e-10
    extrapolate: bool = False

    name: ClassVar[str] = "als"
    monotone: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    parallel: ClassVar[bool] = True
    exact: ClassVar[bool] = True
    losses: ClassVar[tuple[float, float]] = (2.0, 2.0)
    defaults: ClassVar[Defaults] = Defaults(alpha=0.03, alpha_bias=16.0, max_iter=20)

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_number("descent_sweeps", self.descent_sweeps, minimum=1, integer=True)
        check_number("tolerance", self.tolerance, minimum=0.0)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare both views and penalties; nothing here is random or scheduled."""
        penalty_W, penalty_H = objective.penalties(train, factors)
        state = {
            "W": factors.W,
            "H": factors.H,
            "by_user": train.by_user,
            "by_item": train.by_item,
            "penalty_W": in_float64(penalty_W),
            "penalty_H": in_float64(penalty_H),
            "columns": factors.columns,
        }
        return prepare_extrapolation(state, train, factors, objective) if self.extrapolate else state

    def epoch(self, state: State) -> None:
        """Solve for every user row, then for every item row against the new user rows."""
        if self.extrapolate:
            extrapolated_epoch(self._epoch, state)
        else:
            self._epoch(state)

    def _epoch(self, state: State) -> None:
        columns_W, columns_H = state["columns"]
        self._solve(state["by_user"], state["W"], state["H"], state["penalty_W"], columns_W)
        self._solve(state["by_item"], state["H"], state["W"], state["penalty_H"], columns_H)

    def _solve(self, view: Compressed, W: NDArray[Any], H: NDArray[Any], penalty: Penalty, columns: Columns) -> None:
        """Minimise over the free columns of W: the latent ones, then the bias."""
        free = [f for f in range(W.shape[1]) if f != columns.frozen]
        rows, partners = (np.ascontiguousarray(side[:, free], dtype=np.float64) for side in (W, H))
        explained = np.zeros(len(H)) if columns.frozen == NO_COLUMN else H[:, columns.frozen].astype(np.float64)
        options = (self.method == "pivoting", self.descent_sweeps, float(self.tolerance))
        solve_rows(view, rows, partners, explained, penalty, columns.n_latent, *options)
        W[:, free] = rows


def in_float64(penalty: Penalty) -> Penalty:
    """Return the same penalty in the type that rows are solved in, so that one compiled kernel serves all factors."""
    *numbers, counts = penalty
    return Penalty._make([*map(np.float64, numbers), counts.astype(np.float64)])


@parallel_kernel
def solve_rows(
    view: Compressed,
    rows: Matrix,
    partners: Matrix,
    explained: Vector,
    penalty: Penalty,
    n_latent: int,
    pivoting: bool,
    sweeps: int,
    tolerance: float,
) -> None:
    """Replace each row by the non-negative minimiser of its problem, the partners fixed.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows.
    rows, partners : ndarray of float64, shapes (n_rows, n_free) and (n_columns, n_free)
        The free columns of both sides: `n_latent` latent ones, and perhaps the bias.
    explained : ndarray of float64, shape (n_columns,)
        What the frozen column predicts for each partner.
    penalty : Penalty
        Of the side of the rows.
    n_latent : int
    pivoting : bool
        Whether to try block principal pivoting before coordinate descent.
    sweeps, tolerance : int, float
        When coordinate descent ends.
    """
    indptr, indices, values = view
    for u in numba.prange(len(indptr) - 1):
        observed = slice(indptr[u], indptr[u + 1])
        A, d = normal_equations(indices[observed], values[observed], partners, explained)
        ridge = penalty.ridge_rating * penalty.counts[u] + penalty.ridge_row
        lasso = penalty.lasso_rating * penalty.counts[u] + penalty.lasso_row
        for f in range(n_latent):
            A[f, f] += ridge  # (ALS.1)
            d[f] -= lasso  # (ALS.2)
        for f in range(n_latent, len(d)):
            A[f, f] += penalty.bias_ridge
            d[f] += penalty.bias_ridge * penalty.bias_level
        if not (pivoting and pivot(A, d, rows[u])):
            descend(A, d, rows[u], sweeps, tolerance)


@kernel
def normal_equations(
    items: NDArray[Any], values: NDArray[Any], partners: Matrix, explained: Vector
) -> tuple[Matrix, Vector]:
    """Return the sums over the ratings in (ALS.1) and (ALS.2): A, shape (n_free, n_free), and d, shape (n_free,)."""
    n_free = partners.shape[1]
    A, d = np.zeros((n_free, n_free)), np.zeros(n_free)
    by_four = len(items) - len(items) % 4
    for p in range(0, by_four, 4):  # four ratings for each trip of A through the registers: three times as fast
        h0, h1, h2, h3 = partners[items[p]], partners[items[p + 1]], partners[items[p + 2]], partners[items[p + 3]]
        for f in range(n_free):
            x0, x1, x2, x3 = h0[f], h1[f], h2[f], h3[f]
            for j in range(f + 1):
                A[f, j] += x0 * h0[j] + x1 * h1[j] + x2 * h2[j] + x3 * h3[j]  # (ALS.1)
    for p in range(by_four, len(items)):
        h = partners[items[p]]
        for f in range(n_free):
            for j in range(f + 1):
                A[f, j] += h[f] * h[j]  # (ALS.1)
    for p in range(len(items)):
        h, target = partners[items[p]], values[p] - explained[items[p]]
        for f in range(n_free):
            d[f] += target * h[f]  # (ALS.2)
    for f in range(n_free):
        for j in range(f):
            A[j, f] = A[f, j]
    return A, d


@kernel
def pivot(A: Matrix, d: Vector, w: Vector) -> bool:
    """Move w to the minimiser by block principal pivoting; on a singular system leave it alone and return False."""
    size = lengths(A)
    chosen = w * size > SLACK * np.max(w * size)  # S
    x, L = np.zeros_like(d), np.empty_like(A)
    fewest, patience = len(d) + 1, PATIENCE
    for _ in range(ROUNDS):
        if not solve_on(chosen, A, d, x, L):
            return False
        wrong = wrong_signs(chosen, A, d, x, size)  # V
        n_wrong = int(np.sum(wrong))
        if n_wrong == 0:
            w[:] = np.where(x * size > SLACK * np.max(x * size), x, 0.0)
            return True
        if n_wrong < fewest:
            fewest, patience = n_wrong, PATIENCE
        elif patience > 0:
            patience -= 1
        else:
            wrong[: np.nonzero(wrong)[0][-1]] = False
        chosen = chosen != wrong  # (ALS.5)
    return False


@kernel
def solve_on(chosen: NDArray[np.bool_], A: Matrix, d: Vector, x: Vector, L: Matrix) -> bool:
    """Solve (ALS.3) on the chosen entries, zero elsewhere, with L for scratch; return False if it is singular."""
    x[:] = 0.0
    members = np.nonzero(chosen)[0]
    solution = np.empty(len(members))
    for a in range(len(members)):
        f = members[a]
        for b in range(a):
            L[a, b] = (A[f, members[b]] - dot(L[a], L[b], b)) / L[b, b]  # (ALS.3)
        square = A[f, f] - dot(L[a], L[a], a)
        if square <= SINGULAR * A[f, f]:
            return False
        L[a, a] = np.sqrt(square)  # (ALS.3)
        solution[a] = (d[f] - dot(L[a], solution, a)) / L[a, a]  # forwards
    for a in range(len(members) - 1, -1, -1):  # backwards
        solution[a] /= L[a, a]
        for b in range(a):
            solution[b] -= L[a, b] * solution[a]
        x[members[a]] = solution[a]
    return True


@kernel
def dot(x: Vector, y: Vector, n: int) -> float:
    """Return the product of the first n entries."""
    total = 0.0
    for f in range(n):
        total += x[f] * y[f]
    return total


@kernel
def lengths(A: Matrix) -> Vector:
    """Return √A_ff, and 1 for a column without any effect."""
    size = np.sqrt(np.diag(A))
    for f in range(len(size)):
        if size[f] == 0:
            size[f] = 1.0
    return size


@kernel
def wrong_signs(chosen: NDArray[np.bool_], A: Matrix, d: Vector, x: Vector, size: Vector) -> NDArray[np.bool_]:
    """Return V: chosen entries that are negative, and others with a negative slope; rounding counts as zero."""
    wrong = np.zeros(len(d), dtype=np.bool_)
    magnitude = np.abs(x)
    largest = np.max(magnitude * size)
    for f in range(len(d)):
        if chosen[f]:
            wrong[f] = x[f] * size[f] < -SLACK * largest
        else:
            slope = dot(A[f], x, len(d)) - d[f]  # (ALS.4)
            wrong[f] = slope < -SLACK * (dot(A[f], magnitude, len(d)) + abs(d[f]))
    return wrong


@kernel
def descend(A: Matrix, d: Vector, w: Vector, sweeps: int, tolerance: float) -> None:
    """Lower one entry of w after the other to the bottom of its parabola, sweep after sweep, until nothing moves."""
    slope, size = np.empty_like(d), lengths(A)
    for f in range(len(d)):
        slope[f] = dot(A[f], w, len(d)) - d[f]
    for _ in range(sweeps):
        moved, largest = 0.0, 0.0
        for f in range(len(d)):
            lowest = 0.0 if slope[f] > 0 else w[f]  # of a straight line
            if A[f, f] > 0:
                lowest = max(0.0, w[f] - slope[f] / A[f, f])  # (ALS.6)
            move, w[f] = lowest - w[f], lowest
            for j in range(len(d)):
                slope[j] += move * A[f, j]
            moved, largest = max(moved, size[f] * abs(move)), max(largest, size[f] * w[f])
        if moved <= tolerance * largest:
            return
