"""Alternating non-negative least squares, each row solved exactly (Kim & Park 2011; on ratings: Zhou et al. 2008).

Idea: with H fixed, every user has a small problem of their own, a bowl with a lowest point. Do not step towards it: go
there. Over the free columns, with what the frozen one explains taken off each rating (h_i,frozen; without biases 0),
user u minimises ½ w·Aw − d·w, where

    A_fj = Σ_i∈Ω_u h_if h_ij + λ_uf (1−ρ) [f = j]                                                   (ALS.1)
    d_f  = Σ_i∈Ω_u (r_ui − h_i,frozen) h_if + λ_uf ((1−ρ) m_f − ρ)                                  (ALS.2)

How such a problem is solved, by block principal pivoting or by coordinate descent, is in `nmf_scratch.solvers.nnls`.
Derived, with an example by hand, in docs/learn/alternating-least-squares.md.

The sums are taken in the dtype of the factors, twice as fast in float32; what they come to is solved in float64: A has
the square of the condition number of the h_i, and (ALS.5) decides by sign. The sums take O(n_ratings · K²) and are
where the time goes. So partners are copied side by side, four ratings and four rows of A are taken at once, and each
number that is fetched is used four times. The systems take O(K³) per row and guess. Epochs are dear, and few are
needed. The objective never goes up, and since both halves are exact, every limit point is stationary (Grippo &
Sciandrone 2000).
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
from nmf_scratch.problem.factors import NO_COLUMN, Columns, Factors
from nmf_scratch.problem.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State, fetch_ahead, row_state
from nmf_scratch.solvers.extrapolation import Extrapolating, prepare_extrapolation
from nmf_scratch.solvers.nnls import SINGULAR, Matrix, Vector, descend, pivot

METHODS = ("pivoting", "descent")

SINGULAR_IN_FLOAT32 = 1e-5
"""`nnls.SINGULAR` for sums in float32: a pivot below this share of its diagonal entry is rounding."""

LANES = 16
"""Rows of partners are padded with zeros to a multiple of this: float32 numbers in a 512-bit register."""

CHUNK = 128
"""Ratings whose partners are copied side by side at once: with 64 columns they fill a first-level cache."""

Spans = NDArray[np.int64]


@dataclass(frozen=True)
class AlternatingLeastSquares(Extrapolating):
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
    defaults: ClassVar[Defaults] = Defaults(alpha=0.28, alpha_bias=16.0, max_iter=20)

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_number("descent_sweeps", self.descent_sweeps, minimum=1, integer=True)
        check_number("tolerance", self.tolerance, minimum=0.0)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare both views and penalties; nothing here is random or scheduled."""
        state = row_state(train, factors, objective)
        state |= {side: in_float64(state[side]) for side in ("penalty_W", "penalty_H")}
        return prepare_extrapolation(state, train, factors, objective) if self.extrapolate else state

    def _epoch(self, state: State) -> None:
        W, H, (columns_W, columns_H) = state["W"], state["H"], state["columns"]
        self._solve(state["by_user"], state["spans_W"], W, H, state["penalty_W"], columns_W)
        self._solve(state["by_item"], state["spans_H"], H, W, state["penalty_H"], columns_H)

    def _solve(
        self, view: Compressed, spans: Spans, W: NDArray[Any], H: NDArray[Any], penalty: Penalty, columns: Columns
    ) -> None:
        """Minimise over the free columns of W."""
        options = (self.method == "pivoting", singular_in(W.dtype), self.descent_sweeps, float(self.tolerance))
        solve_rows(view, spans, W, padded(H, columns.n_latent), explained(H, columns), penalty, columns, options)


def singular_in(dtype: np.dtype[Any]) -> float:
    """Return the share of its diagonal entry below which a pivot is rounding, for sums in this type."""
    return SINGULAR if dtype == np.float64 else SINGULAR_IN_FLOAT32


def in_float64(penalty: Penalty) -> Penalty:
    """Return the same penalty in the type that rows are solved in."""
    return Penalty._make(np.asarray(part, np.float64)[()] for part in penalty)


def padded(H: NDArray[Any], n_latent: int) -> NDArray[Any]:
    """Return the latent columns, with zeros up to a multiple of `LANES`."""
    matrix = np.zeros((len(H), -(-n_latent // LANES) * LANES), H.dtype)
    matrix[:, :n_latent] = H[:, :n_latent]
    return matrix


def explained(H: NDArray[Any], columns: Columns) -> NDArray[Any]:
    """Return what the frozen column of W predicts for each partner, shape (n_columns,)."""
    return np.zeros(len(H), H.dtype) if columns.frozen == NO_COLUMN else H[:, columns.frozen].copy()


@parallel_kernel
def solve_rows(
    view: Compressed,
    spans: Spans,
    W: NDArray[Any],
    partners: NDArray[Any],
    explained: NDArray[Any],
    penalty: Penalty,
    columns: Columns,
    options: tuple[bool, float, int, float],
) -> None:
    """Replace each row by the non-negative minimiser of its problem, the partners fixed.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows of W.
    spans : ndarray of int64
        Runs of rows to share out, see `nmf_scratch.solvers.base.even_spans`.
    W : ndarray, shape (n_rows, K)
        Updated in place.
    partners : ndarray, shape (n_columns, width)
        Latent columns of the other side, `padded`.
    explained : ndarray, shape (n_columns,)
        What the frozen column of W predicts for each partner.
    penalty : Penalty
        Of the side of W, in float64.
    columns : Columns
        Layout of W.
    options : (pivoting, singular, sweeps, tolerance)
        Whether to try block principal pivoting, what share of its diagonal entry makes a pivot rounding, and when
        coordinate descent, which follows else, ends.
    """
    indptr, indices, values, weights = view
    pivoting, singular, sweeps, tolerance = options
    k, width = columns.n_latent, partners.shape[1]
    n_free = k + (columns.free_bias >= 0)
    for span in numba.prange(len(spans) - 1):
        copies = np.zeros((CHUNK, width + LANES), partners.dtype)
        sums, totals = np.empty((width + 4, width), partners.dtype), np.empty(2, partners.dtype)
        A, d, w = np.empty((n_free, n_free)), np.empty(n_free), np.empty(n_free)
        for u in range(spans[span], spans[span + 1]):
            observed = slice(indptr[u], indptr[u + 1])
            own = indices[observed], values[observed], weights[observed]
            sum_products(own, partners, explained, copies, sums, totals)
            normal_equations(sums, totals, penalty, u, k, A, d)
            for f in range(k):
                w[f] = W[u, f]
            if columns.free_bias >= 0:
                w[k] = W[u, columns.free_bias]
            if not (pivoting and pivot(A, d, w, singular)):
                descend(A, d, w, sweeps, tolerance)
            for f in range(k):
                W[u, f] = w[f]
            if columns.free_bias >= 0:
                W[u, columns.free_bias] = w[k]


@kernel
def sum_products(
    own: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    partners: NDArray[Any],
    explained: NDArray[Any],
    copies: NDArray[Any],
    sums: NDArray[Any],
    totals: NDArray[Any],
) -> None:
    """Add up what the ratings of one row contribute to its problem.

    Parameters
    ----------
    own : (items, values, weights), each of shape (n_row,)
        The row's ratings.
    partners : ndarray, shape (n_columns, width)
    explained : ndarray, shape (n_columns,)
    copies : ndarray, shape (CHUNK, width + LANES)
        Room for the partners of a chunk of ratings; behind each a one, its target, and zeros: whole cache lines. All
        is multiplied by the root of the rating's weight, so that products have the weight.
    sums : ndarray, shape (width + 4, width)
        Overwritten with copiesᵀ · copies as far as needed: Σ h_if h_ij for j ≤ f, then Σ h_ij, then Σ target h_ij.
    totals : ndarray, shape (2,)
        Overwritten with the sum of the weights, and Σ weight · target.
    """
    items, values, weights = own
    width = partners.shape[1] // LANES * LANES
    sums[:] = 0
    totals[:] = 0
    for first in range(0, len(items), CHUNK):
        n = min(CHUNK, len(items) - first)
        for p in range(n):
            fetch_ahead(partners, items, first + p)
            item, root = np.uint64(items[first + p]), np.sqrt(weights[first + p])
            for f in range(width):
                copies[p, f] = root * partners[item, f]
            copies[p, width] = root
            copies[p, width + 1] = root * (values[first + p] - explained[item])
            totals[0] += root * copies[p, width]
            totals[1] += root * copies[p, width + 1]
        for p in range(n, (n + 3) // 4 * 4):  # up to a multiple of four
            copies[p, :width] = 0
        for f in range(np.uint64(0), np.uint64(width + 4), np.uint64(4)):
            n_columns = min(np.uint64(width), (f // np.uint64(LANES) + np.uint64(1)) * np.uint64(LANES))
            multiply_four(copies, sums, np.uint64(n), f, n_columns)


@kernel
def multiply_four(copies: NDArray[Any], sums: NDArray[Any], n_ratings: Any, f: Any, n_columns: Any) -> None:
    """Add the products of the first n_ratings copies, four at a time, to rows f … f + 3 of the sums."""
    for p in range(np.uint64(0), n_ratings, np.uint64(4)):
        a0, a1, a2, a3 = copies[p, f], copies[p + 1, f], copies[p + 2, f], copies[p + 3, f]
        b0, b1, b2, b3 = copies[p, f + 1], copies[p + 1, f + 1], copies[p + 2, f + 1], copies[p + 3, f + 1]
        c0, c1, c2, c3 = copies[p, f + 2], copies[p + 1, f + 2], copies[p + 2, f + 2], copies[p + 3, f + 2]
        d0, d1, d2, d3 = copies[p, f + 3], copies[p + 1, f + 3], copies[p + 2, f + 3], copies[p + 3, f + 3]
        for j in range(n_columns):
            h0, h1, h2, h3 = copies[p, j], copies[p + 1, j], copies[p + 2, j], copies[p + 3, j]
            sums[f, j] += a0 * h0 + a1 * h1 + a2 * h2 + a3 * h3  # (ALS.1)
            sums[f + 1, j] += b0 * h0 + b1 * h1 + b2 * h2 + b3 * h3
            sums[f + 2, j] += c0 * h0 + c1 * h1 + c2 * h2 + c3 * h3
            sums[f + 3, j] += d0 * h0 + d1 * h1 + d2 * h2 + d3 * h3


@kernel
def normal_equations(
    sums: NDArray[Any], totals: NDArray[Any], penalty: Penalty, row: int, k: int, A: Matrix, d: Vector
) -> None:
    """Write the row's problem, (ALS.1) and (ALS.2), into A and d: k latent entries, then perhaps the bias."""
    width = sums.shape[1]
    ridge, lasso = penalty.ridge[row], penalty.lasso[row]
    for f in range(k):
        for j in range(f + 1):
            A[f, j] = sums[f, j]
            A[j, f] = sums[f, j]
        A[f, f] += ridge  # (ALS.1)
        d[f] = sums[width + 1, f] - lasso  # (ALS.2)
    if len(d) > k:  # the partner of a bias is one
        for f in range(k):
            A[k, f] = sums[width, f]
            A[f, k] = sums[width, f]
        A[k, k] = totals[0] + penalty.bias_ridge
        d[k] = totals[1] + penalty.bias_ridge * penalty.bias_level
