"""CCD++: coordinate descent in the order of the columns (Yu, Hsieh, Si & Dhillon 2012, ICDM, section 3).

Idea: the same exact one-entry steps as in `nmf_scratch.solvers.coordinate_descent`, in another order. That solver
finishes a row before it goes on; this one finishes a *column pair*: all w_uf, all h_if, the same f, then the next f.
With the other columns fixed, what is left is a factorisation of rank one,

    minimise over w, h ≥ 0:  ½ Σ_(u,i)∈Ω (ê_ui − w_u h_i)² + penalties,    ê_ui = e_ui + w_uf h_if,

and `inner_sweeps` alternations over all users, then all items, solve it well. The steps are (P.4), (CD.2), (CD.3) and
(CD.4) as they stand; all w_uf of one f are independent of each other, so each pass is one parallel loop. A bias column
is a rank-one problem too, with one side frozen to ones, and needs one pass. Derived in
docs/learn/coordinate-descent.md.

Residuals are kept in both orders, by user and by item, so that each pass reads and writes its own without gaps. After
the items have moved, the residuals by user are out of date. They are corrected when the next pass visits the row,

    e_ui ← e_ui − w_uf (new h_if − old h_if)                             for i in Ω_u               (CCD.1)

and likewise by item after the users have moved. (The paper adds w_uf h_if to all residuals before a column and
subtracts it afterwards: the same numbers, in six passes over the ratings instead of two.) They are computed afresh at
the start of each epoch: that lets no rounding error live on, and takes an overwritten W or H as it is.

Cost: O(n_ratings · k) per epoch and inner sweep, in k short passes. A pass looks up single numbers of one column, which
fits into the cache, where `cd` needs whole rows; but it cannot compute on several columns at a time, and memory is
touched k times. Monotone, exact zeros, the same stationary points as `cd`. On MovieLens its first few epochs are worth
having for themselves: each column settles on what the ones before it left, and the held-out error after eight epochs
is lower than any that comes later. Hence the short default run.

The same in plain NumPy, its naive twin: tests/reference/ccd.py.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import kernel, parallel_kernel, threads
from nmf_scratch.data.ratings import Compressed, Ratings
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.rows import RowWise

PARALLEL_PASS = 300_000
"""Fewer ratings than this are visited by one thread.

After each pass all threads wait for the slowest. An epoch has 2 k passes, and a pass over 100,000 ratings takes 0.2 ms:
on a machine with other work to do, threads then spend most of their time waiting (measured: 13 times slower)."""

Behind = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class CyclicCoordinateDescent(RowWise):
    """Coordinate descent one column pair at a time.

    Parameters
    ----------
    inner_sweeps : int
        Alternations over all users and all items for one column pair before the next has its turn.
    """

    inner_sweeps: int = 2

    name: ClassVar[str] = "ccd"
    defaults: ClassVar[Defaults] = Defaults(alpha=0.28, alpha_bias=16.0, max_iter=5)

    def __post_init__(self) -> None:
        check_number("inner_sweeps", self.inner_sweeps, minimum=1, integer=True)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare both sides, and room for both orders of the residuals."""
        return super().start(train, factors, objective, key=key, max_iter=max_iter) | {
            "errors_by_user": np.empty(len(train), factors.W.dtype),
            "errors_by_item": np.empty(len(train), factors.W.dtype),
            "n_components": factors.n_components,
            "biases": factors.biases,
        }

    def steps(self, n_components: int, biases: bool) -> list[tuple[int, int]]:
        """Return what an epoch does: which column the users move, then which one the items move, and so on."""
        latent = [(f, f) for f in range(n_components) for _ in range(self.inner_sweeps)]
        return latent + [(n_components, n_components + 1)] * biases

    def epoch(self, state: State) -> None:
        """Go through the columns once; users and items take turns at every step."""
        with threads(1) if len(state["errors_by_user"]) < PARALLEL_PASS else nullcontext():
            self._go_through_columns(state)

    def _go_through_columns(self, state: State) -> None:
        (_, _, by_user, penalty_W, *_), (_, _, by_item, penalty_H, *_) = state["sides"]
        errors_u, errors_i = state["errors_by_user"], state["errors_by_item"]
        compute_residuals(by_user, state["W"], state["H"], errors_u)
        compute_residuals(by_item, state["H"], state["W"], errors_i)
        W, H = state["W"].T.copy(), state["H"].T.copy()  # (K, n_users), (K, n_items): columns without gaps
        change_W, change_H = np.zeros_like(W[0]), np.zeros_like(H[0])
        last = 0
        for f, g in self.steps(state["n_components"], state["biases"]):  # g is f but in the bias columns
            bias = f == state["n_components"]
            move_column(by_user, errors_u, W[f], change_W, H[f], (W[last], change_H), penalty_W, bias)
            move_column(by_item, errors_i, H[g], change_H, W[g], (H[f], change_W), penalty_H, bias)
            last = g
        state["W"][:], state["H"][:] = W.T, H.T


@parallel_kernel
def compute_residuals(view: Compressed, W: NDArray[Any], H: NDArray[Any], errors: NDArray[Any]) -> None:
    """Write r_ui − w_u · h_i into `errors`, in the order of the view."""
    indptr, indices, values, _ = view
    for u in numba.prange(len(indptr) - 1):
        row = slice(indptr[u], indptr[u + 1])
        residuals_of_row(W[u], H, indices[row], values[row], errors[row])


@kernel
def residuals_of_row(
    w: NDArray[Any], H: NDArray[Any], indices: NDArray[Any], values: NDArray[Any], errors: NDArray[Any]
) -> None:
    """Write the residuals of one row."""
    for p in range(len(indices)):
        h = H[indices[p]]
        error = values[p]
        for f in range(len(w)):
            error -= w[f] * h[f]  # (CD.1)
        errors[p] = error


@parallel_kernel
def move_column(
    view: Compressed,
    errors: NDArray[Any],
    column: NDArray[Any],
    change: NDArray[Any],
    partner: NDArray[Any],
    behind: Behind,
    penalty: Penalty,
    bias: bool,
) -> None:
    """Minimise over one column of one side, all else fixed.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows of that side.
    errors : ndarray, shape (n_ratings,)
        Residuals in the order of the view, updated in place.
    column, change : ndarray, shape (n_rows,)
        The column, updated in place, and by how much each entry has moved: written here.
    partner : ndarray, shape (n_columns,)
        The same column of the other side.
    behind : (ndarray of shape (n_rows,), ndarray of shape (n_columns,))
        What the residuals do not know yet: by how much the other side moved last, and this side's column next to it.
    penalty : Penalty
        Of this side.
    bias : bool
        Whether the column is this side's free bias.
    """
    indptr, indices, _, weights = view
    beside, moved = behind
    zero = penalty.bias_ridge - penalty.bias_ridge  # zero in the dtype of the factors
    for u in numba.prange(len(indptr) - 1):
        row = slice(indptr[u], indptr[u + 1])
        ridge, lasso = penalty.ridge[u], penalty.lasso[u]
        strength, centre, line = (penalty.bias_ridge, penalty.bias_level, zero) if bias else (ridge, zero, lasso)
        add_multiple(errors[row], -beside[u], moved, indices[row])  # (CCD.1)
        fit, square = fit_and_square(errors[row], partner, indices[row], weights[row])
        curvature = square + strength  # (P.4)
        pull = fit + column[u] * square + strength * centre - line  # (CD.2)
        # Where nothing pulls and nothing bends, the entry has no effect on the objective, and stays.
        best = zero if pull < 0 else (pull / curvature if curvature > 0 else column[u])  # (CD.3)
        change[u] = best - column[u]
        column[u] = best
        add_multiple(errors[row], -change[u], partner, indices[row])  # (CD.4)


@kernel
def add_multiple(errors: NDArray[Any], factor: float, column: NDArray[Any], indices: NDArray[Any]) -> None:
    """Add `factor` times the column's entries at `indices` to the residuals of a row, in place."""
    if factor != 0:
        for j in range(len(errors)):
            errors[j] += factor * column[indices[j]]


@kernel
def fit_and_square(
    errors: NDArray[Any], column: NDArray[Any], indices: NDArray[Any], weights: NDArray[Any]
) -> tuple[float, float]:
    """Return Σ e_ui h_if and Σ h_if² over the ratings of a row, each by its weight."""
    fit = square = errors.dtype.type(0)
    if weights.strides[0] == 0:  # all of them one; a single number at every place would keep the sums scalar
        for j in range(len(errors)):
            h = column[indices[j]]
            fit += errors[j] * h
            square += h * h
        return fit, square
    for j in range(len(errors)):
        h = column[indices[j]]
        fit += weights[j] * errors[j] * h
        square += weights[j] * h * h
    return fit, square
