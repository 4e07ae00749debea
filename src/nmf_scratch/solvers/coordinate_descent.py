"""Element-wise coordinate descent on the observed ratings, also called HALS (Cichocki & Phan 2009, section 3).

Idea: with all other numbers fixed, the objective is a parabola in a single factor entry, and its constrained minimum
of a parabola is known exactly: no step size, no bound. Go there, bring the residuals up to date, take the next entry.
For user u and every free column f in turn,

    e_ui = r_ui − w_u · h_i                                              for i in Ω_u               (CD.1)
    q_f  = Σ_i∈Ω_u h_if² + λ_uf (1−ρ)                                                               (P.4)
    p_f  = Σ_i∈Ω_u e_ui h_if + w_uf Σ_i∈Ω_u h_if² + λ_uf ((1−ρ) m_f − ρ)                            (CD.2)
    w_uf ← max(0, p_f / q_f)                                                                        (CD.3)
    e_ui ← e_ui − (new w_uf − old w_uf) h_if                             for i in Ω_u               (CD.4)

and the same for every item with the roles swapped. Where cells that nobody rated count too
(`nmf_scratch.problem.objective`), with G = HᵀH over all items,

    p_f ← p_f − ω_0 Σ_j (HᵀH)_fj w_uj + ω_0 (HᵀH)_ff w_uf,      q_f ← q_f + ω_0 (HᵀH)_ff       (CELL.4)

at O(k) a column, however many cells there are (He et al. 2016, "eALS"). Derived in docs/learn/coordinate-descent.md.

The residuals make it cheap. p_f needs what all *other* columns leave to explain, which is e_ui + w_uf h_if: one column
costs O(n_u) rather than O(n_u k). They are computed afresh when a row is visited, which costs as much as one sweep,
needs no memory between the rows, and lets no rounding error live on.

Rows of one side do not depend on each other: a half-step is one parallel loop over rows. Each row first copies the
h_i that it needs, transposed, so that the sums over Ω_u run through memory without gaps, several ratings at a time.

Cost: O(n_ratings · k) per half-step, at most about twice that of multiplicative updates, for far larger steps. The
objective never goes up, zeros are exact and can be left again, and the tail is fast. With ridge every parabola has one
lowest point, hence every limit point is stationary (Bertsekas 1999, proposition 2.7.1). The solver of choice when the
objective itself is to be minimised, and for sparse factors.

The same in plain NumPy, its naive twin: tests/reference/coordinate_descent.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import kernel, parallel_kernel
from nmf_scratch.data.ratings import Compressed
from nmf_scratch.problem.factors import Columns
from nmf_scratch.problem.objective import Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.rows import RowWise, Side, fetch_ahead

PER_TURN = 32
"""Rows are padded with zeros to a multiple of this: what a loop over float32 handles per turn with 256-bit registers.

A row of 40 ratings is two turns then; without padding it would be one turn and 8 ratings one by one."""


@dataclass(frozen=True)
class CoordinateDescent(RowWise):
    """Element-wise coordinate descent.

    Parameters
    ----------
    inner_sweeps : int
        How often a row cycles through its columns before the other side has its turn. The copy of the partners is
        made once, so 2 or 3 cost little more and lower the objective faster; held-out errors did not gain by it.
    extrapolate : bool
        Whether to go on in the direction of the last epoch, see `nmf_scratch.solvers.extrapolation`.
    """

    inner_sweeps: int = 1
    extrapolate: bool = False

    name: ClassVar[str] = "cd"
    unobserved: ClassVar[bool] = True
    defaults: ClassVar[Defaults] = Defaults(alpha=0.28, alpha_bias=16.0, max_iter=60)

    def __post_init__(self) -> None:
        check_number("inner_sweeps", self.inner_sweeps, minimum=1, integer=True)

    def half_step(self, side: Side, state: State) -> None:
        """Take each entry to the lowest point of its parabola, (CD.3)."""
        X, partners, view, penalty, columns, spans, _ = side
        descend_rows(view, spans, X, partners, side.cells().astype(X.dtype), penalty, columns, self.inner_sweeps)


@parallel_kernel
def descend_rows(
    view: Compressed,
    spans: NDArray[np.int64],
    W: NDArray[Any],
    H: NDArray[Any],
    cells: NDArray[Any],
    penalty: Penalty,
    columns: Columns,
    inner_sweeps: int,
) -> None:
    """Update each row of W in place, H fixed; called with the roles swapped it updates H.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows of W.
    spans : ndarray of int64
        Runs of rows to share out, see `nmf_scratch.solvers.rows.even_spans`.
    W, H : ndarray, shapes (n_rows, K) and (n_columns, K)
    cells : ndarray, shape (K, K) or (0, 0)
        ω_0 HᵀH, or nothing.
    penalty : Penalty
        Of the side of W.
    columns : Columns
        Layout of W.
    inner_sweeps : int
        Cycles through the columns of each row.
    """
    indptr, indices, values, weights = view
    for span in numba.prange(len(spans) - 1):
        for u in range(spans[span], spans[span + 1]):
            row = slice(indptr[u], indptr[u + 1])
            n_ratings = indptr[u + 1] - indptr[u]
            width = (n_ratings + PER_TURN - 1) // PER_TURN * PER_TURN
            # Columns an odd number of half-turns apart: a power of two would put them all into one corner of the cache.
            partners = np.empty((W.shape[1], width + PER_TURN // 2), W.dtype)  # (K, ratings of the row)
            partners[:, n_ratings:] = 0
            errors = np.zeros(width, W.dtype)
            gather_row(W[u], H, indices[row], values[row], weights[row], partners, errors)
            ridge, lasso = penalty.ridge[u], penalty.lasso[u]
            for _ in range(inner_sweeps):
                cycle_columns(W[u], partners, errors, cells, ridge, lasso, penalty, columns)


@kernel
def gather_row(
    w: NDArray[Any],
    H: NDArray[Any],
    indices: NDArray[Any],
    values: NDArray[Any],
    weights: NDArray[Any],
    partners: NDArray[Any],
    errors: NDArray[Any],
) -> None:
    """Write the residuals of one row, and its partners' factors transposed, into the two last arguments.

    Both are multiplied by the root of the rating's weight: its square, and its gradient, then have the weight.
    """
    for j in range(len(indices)):
        fetch_ahead(H, indices, j)
        h = H[indices[j]]
        error = values[j]
        for f in range(len(w)):
            error -= w[f] * h[f]  # (CD.1)
        root = np.sqrt(weights[j])
        errors[j] = root * error
        for f in range(len(w)):
            partners[f, j] = root * h[f]


@kernel
def cycle_columns(
    w: NDArray[Any],
    partners: NDArray[Any],
    errors: NDArray[Any],
    cells: NDArray[Any],
    ridge: float,
    lasso: float,
    penalty: Penalty,
    columns: Columns,
) -> None:
    """Minimise over each free entry of one row in turn; `w` and `errors` are updated in place."""
    zero = ridge - ridge  # zero in the dtype of the factors: a literal would widen float32 to float64
    for f in range(len(w)):
        if f == columns.frozen:
            continue
        bias = f == columns.free_bias
        strength, centre, line = (penalty.bias_ridge, penalty.bias_level, zero) if bias else (ridge, zero, lasso)
        h = partners[f]
        fit, square = zero, zero
        for j in range(len(errors)):
            fit += errors[j] * h[j]
            square += h[j] * h[j]
        if len(cells):
            square += cells[f, f]
            for j in range(len(w)):
                fit -= cells[f, j] * w[j]  # (CELL.4)
        curvature = square + strength  # (P.4)
        pull = fit + w[f] * square + strength * centre - line  # (CD.2)
        # Where nothing pulls and nothing bends, the entry has no effect on the objective, and stays.
        best = zero if pull < 0 else (pull / curvature if curvature > 0 else w[f])  # (CD.3)
        change = best - w[f]
        w[f] = best
        if change != 0:
            for j in range(len(errors)):
                errors[j] -= change * h[j]  # (CD.4)
