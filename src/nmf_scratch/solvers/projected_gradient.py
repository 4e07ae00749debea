"""Accelerated projected gradient on the observed ratings (NeNMF: Guan et al. 2012; restarts: O'Donoghue & Candès 2015).

Idea: with H fixed, each row of W has a small problem of its own. Walk down its gradient, cut off what becomes negative,
and carry the momentum of the last step into the next one (Nesterov 1983). A few steps per row, then it is the other
side's turn. From the point y, which is the row w itself at first, user u steps by

    g_f = −Σ_i∈Ω_u (r_ui − y · h_i) h_if + λ_uf ((1−ρ) (y_f − m_f) + ρ)                             (PGD.1)
    w'_f = max(0, y_f − g_f / D_f)                                                                  (PGD.2)

How far is safe? The curvatures A_fj = Σ_i h_if h_ij + λ_uf (1−ρ) [f = j] are non-negative, and for such a matrix the
sums of its rows,

    D_f = Σ_i∈Ω_u h_if Σ_j h_ij + λ_uf (1−ρ)                 over free columns j                    (PGD.3)

lie above it: x·Dx ≥ x·Ax for all x. So the step never overshoots, and it costs two passes over the ratings to know,
without A itself. `step="row"` takes the classical single step, with the largest of them for every column,

    D_u = max_f D_f,   which bounds the largest eigenvalue of A (Perron & Frobenius)                (PGD.4)

but a bias column has several times the row sum of a latent one, and would slow all others down. Momentum, with τ_1 = 1:

    τ_{s+1} = ½ (1 + √(1 + 4 τ_s²)),   ζ_s = (τ_s − 1) / τ_{s+1}                                    (PGD.5)
    y ← w' + ζ_s (w' − w),   w ← w'                                                                 (PGD.6)

Momentum can overshoot where a step cannot. It is dropped, s back to 1, when the last move went uphill,

    g · (w' − w) > 0                                                                                (PGD.7)

and when the row's objective rose; then the step is undone as well. So the objective never goes up. The residuals of y
are the same combination (PGD.6) of known residuals as y is, so this check is free: a step is two passes, one for g, one
for the residuals of w'. Cost: O(inner_steps · n_ratings · K). Derived in docs/learn/projected-gradient.md.

The same in plain NumPy, its naive twin: tests/reference/projected_gradient.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_choice, check_number
from nmf_scratch._jit import kernel, parallel_kernel
from nmf_scratch.data.ratings import Compressed, Ratings
from nmf_scratch.problem.factors import Columns, Factors
from nmf_scratch.problem.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.rows import RowWise, Side

STEPS = ("column", "row")

SLACK = 1e-14
"""A row's objective has risen only if it did by more than this share; else rounding would restart the last digits."""

FLAT = 1e-30
"""Curvature of an entry that has none: where a lasso, the one term left, still pulls, the step then ends at zero."""

Vector = NDArray[Any]
Terms = tuple[Vector, Vector, Vector]


@dataclass(frozen=True)
class ProjectedGradient(RowWise):
    """Alternating accelerated projected gradient with restarts.

    Parameters
    ----------
    inner_steps : int
        Steps on each row before the other side's turn.
    step : {"column", "row"}
        A safe step for each column, (PGD.3), or the safe step for all columns of a row, (PGD.4).
    """

    inner_steps: int = 10
    step: str = "column"

    name: ClassVar[str] = "pgd"
    defaults: ClassVar[Defaults] = Defaults(alpha=0.28, alpha_bias=16.0, max_iter=30)

    def __post_init__(self) -> None:
        check_number("inner_steps", self.inner_steps, minimum=1, integer=True)
        check_choice("step", self.step, STEPS)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare both sides, and the momentum of each step."""
        state = super().start(train, factors, objective, key=key, max_iter=max_iter)
        return state | {"momentum": momentum(self.inner_steps).astype(factors.W.dtype)}

    def half_step(self, side: Side, state: State) -> None:
        """Take a few accelerated steps on each row."""
        X, partners, view, penalty, columns, *_ = side
        descend_rows(view, X, partners, penalty, columns, state["momentum"], self.step == "row")


def momentum(n_steps: int) -> NDArray[np.float64]:
    """Return ζ of the first steps after a restart, shape (n_steps,): 0, 0.28, 0.43, … towards 1."""
    tau, shares = 1.0, []
    for _ in range(n_steps):
        after = 0.5 * (1 + math.sqrt(1 + 4 * tau * tau))  # (PGD.5)
        shares.append((tau - 1) / after)  # (PGD.5)
        tau = after
    return np.array(shares)


@parallel_kernel
def descend_rows(
    view: Compressed,
    W: NDArray[Any],
    H: NDArray[Any],
    penalty: Penalty,
    columns: Columns,
    momentum: Vector,
    one_step: bool,
) -> None:
    """Take accelerated steps on each row of W in place, H fixed; called with the roles swapped it updates H.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows of W.
    W, H : ndarray, shapes (n_rows, K) and (n_columns, K)
    penalty : Penalty
        Of the side of W.
    columns : Columns
        Layout of W.
    momentum : ndarray, shape (n_steps,)
        ζ of each step, in the dtype of the factors.
    one_step : bool
        Whether all columns of a row share the smallest of their steps.
    """
    indptr, indices, values, weights = view
    n_latent, free_bias, frozen = columns
    for u in numba.prange(len(indptr) - 1):
        ridge, lasso, centre = np.zeros_like(W[u]), np.zeros_like(W[u]), np.zeros_like(W[u])
        for f in range(n_latent):
            ridge[f] = penalty.ridge[u]
            lasso[f] = penalty.lasso[u]
        if free_bias >= 0:
            ridge[free_bias], centre[free_bias] = penalty.bias_ridge, penalty.bias_level
        observed = slice(indptr[u], indptr[u + 1])
        own = indices[observed], values[observed], weights[observed]
        bound = curvature_bound(own, H, ridge, frozen, one_step)
        descend(W[u], H, own, (ridge, lasso, centre), bound, momentum)


@kernel
def curvature_bound(own: Terms, H: NDArray[Any], ridge: Vector, frozen: int, one_step: bool) -> Vector:
    """Return D of (PGD.3), or of (PGD.4) in every entry; infinite for the frozen column, which is not to move."""
    items, _, weights = own
    bound = ridge.copy()
    for p in range(len(items)):
        h = H[items[p]]
        total = -h[frozen] if frozen >= 0 else h[0] - h[0]  # free columns only
        for f in range(len(h)):
            total += h[f]
        total *= weights[p]
        for f in range(len(h)):
            bound[f] += total * h[f]  # (PGD.3)
    if frozen >= 0:
        bound[frozen] = 0
    largest = bound.max()
    for f in range(len(bound)):
        if f == frozen:
            bound[f] = np.inf
        elif bound[f] == 0:
            bound[f] = FLAT
        elif one_step:
            bound[f] = largest  # (PGD.4)
    return bound


@kernel
def descend(w: Vector, H: NDArray[Any], own: Terms, terms: Terms, bound: Vector, momentum: Vector) -> None:
    """Take one accelerated step per entry of `momentum` on the row w, in place.

    Parameters
    ----------
    w : ndarray, shape (K,)
    H : ndarray, shape (n_columns, K)
    own : (items, targets, weights), each of shape (n_row,)
        Rows of H, ratings of this row, and their weights.
    terms : (ridge, lasso, centre)
        The row's penalty, each array of shape (K,).
    bound : ndarray, shape (K,)
        D.
    momentum : ndarray, shape (n_steps,)
        ζ.
    """
    items, targets, _ = own
    ahead, new, gradient, errors = w.copy(), w.copy(), np.empty_like(w), np.empty_like(targets)  # ahead is y, new is w'
    value = measure(w, H, own, terms, errors)
    errors_ahead, errors_new = errors.copy(), errors.copy()
    zero, age = momentum[0], 0
    for _ in range(len(momentum)):
        gradient_at(ahead, H, own, errors_ahead, terms, gradient)
        uphill = zero
        for f in range(len(w)):
            new[f] = max(zero, ahead[f] - gradient[f] / bound[f])  # (PGD.2)
            uphill += gradient[f] * (new[f] - w[f])
        value_new = measure(new, H, own, terms, errors_new)
        if not value_new <= value * (1 + SLACK):  # also if it is NaN
            copy_into(ahead, w)
            copy_into(errors_ahead, errors)
            age = 0
            continue
        if uphill > 0:  # (PGD.7)
            age = 0
        zeta = momentum[age]
        for f in range(len(w)):
            ahead[f] = new[f] + zeta * (new[f] - w[f])  # (PGD.6)
        for p in range(len(items)):
            errors_ahead[p] = errors_new[p] + zeta * (errors_new[p] - errors[p])  # (PGD.6)
        copy_into(w, new)
        copy_into(errors, errors_new)
        value, age = min(value, value_new), age + 1


@kernel
def copy_into(to: Vector, numbers: Vector) -> None:
    """Write numbers over others, one by one: a slice would compile text for an error that cannot happen."""
    for f in range(len(to)):
        to[f] = numbers[f]


@kernel
def gradient_at(y: Vector, H: NDArray[Any], own: Terms, errors: Vector, terms: Terms, gradient: Vector) -> None:
    """Write the gradient of the row's objective at y, whose residuals are given, into `gradient`."""
    items, _, weights = own
    ridge, lasso, centre = terms
    for f in range(len(y)):
        gradient[f] = ridge[f] * (y[f] - centre[f]) + lasso[f]  # (PGD.1)
    for p in range(len(items)):
        h, error = H[items[p]], weights[p] * errors[p]
        for f in range(len(y)):
            gradient[f] -= error * h[f]  # (PGD.1)


@kernel
def measure(w: Vector, H: NDArray[Any], own: Terms, terms: Terms, errors: Vector) -> float:
    """Write the residuals of w into `errors` and return the row's objective, in float64: it decides over restarts."""
    items, targets, weights = own
    ridge, lasso, centre = terms
    total = 0.0
    for p in range(len(items)):
        h, error = H[items[p]], targets[p]
        for f in range(len(w)):
            error -= w[f] * h[f]
        errors[p] = error
        total += 0.5 * weights[p] * error * error
    for f in range(len(w)):
        total += 0.5 * ridge[f] * (w[f] - centre[f]) ** 2 + lasso[f] * w[f]
    return total
