"""Multiplicative updates on the observed ratings (Lee & Seung 2001; with a mask: Zhang et al. 2006).

Idea: split the gradient of each factor entry into what pulls it up and what pushes it down, both non-negative, and
multiply the entry by their ratio. Non-negativity is then free: a product of non-negative numbers. For user u,

    r̂_ui  = w_u · h_i                                                    for i in Ω_u               (MU.1)
    num_f = Σ_i∈Ω_u r_ui r̂_ui^(β−2) h_if + λ_uf (1−ρ) m_f                                           (MU.2)
    den_f = Σ_i∈Ω_u r̂_ui^(β−1) h_if + λ_uf ((1−ρ) w_uf + ρ)                                         (MU.3)
    w_uf ← w_uf · (num_f / den_f)^exponent                                                          (MU.4)

and the same for every item with the roles swapped (λ, ρ, m and β are those of `nmf_scratch.problem.objective`; squared
error is β = 2). The exponent is what the proof of monotonicity allows: 1/(3−β) for a column with a ridge
(Tan & Févotte 2013), else 1 for β ≥ 1 and 1/(2−β) below (Févotte & Idier 2011). For squared error it is always 1.
Derived in docs/learn/multiplicative-updates.md.

The rows of one side do not depend on each other, so a half-step is one parallel loop over rows. The two sides must
*alternate*: (MU.4) minimises an upper bound of the objective in which the other side is fixed, so the objective never
increases only if H is updated with the new W. (Updating both from the same residuals, as some libraries do, loses the
proof.) With `weighting="count"` the formula is the single-element rule of Luo et al. (2014, IEEE TII 10(2)), which
updates both sides at once where this one alternates.

Numerator and denominator are sums over a row's ratings, so these can come in parts: where the other side is larger than
a cache, all rows take the ratings of one *tile* of it before the next tile (at 100 million ratings 2.4 times as fast).

Cost: O(n_ratings · k) per half-step. Entries that reach zero stay there, and the tail of convergence is slow; what
it has is simplicity: no step size, and an objective that never goes up.

The same in plain NumPy, its naive twin: tests/reference/multiplicative.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import kernel, parallel_kernel
from nmf_scratch.data.ratings import Compressed, Ratings
from nmf_scratch.problem.factors import Columns, Factors
from nmf_scratch.problem.objective import FLOOR, Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.rows import N_SPANS, RowWise, Side, even_spans, fetch_ahead, tile_cuts

Own = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

FEW_SPANS = 16
"""Runs of rows that threads share out when partners come in tiles."""


@dataclass(frozen=True)
class MultiplicativeUpdates(RowWise):
    """Alternating multiplicative updates.

    Parameters
    ----------
    extrapolate : bool
        Whether to go on in the direction of the last epoch, see `nmf_scratch.solvers.extrapolation`.
    """

    extrapolate: bool = False

    name: ClassVar[str] = "mu"
    losses: ClassVar[tuple[float, float]] = (0.0, 2.0)
    defaults: ClassVar[Defaults] = Defaults(alpha=0.24, alpha_bias=16.0, max_iter=200)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare both sides, β and the exponents in the dtype of the factors."""
        number = factors.W.dtype.type
        return super().start(train, factors, objective, key=key, max_iter=max_iter) | {
            "loss": (number(objective.loss), number(FLOOR)),
            "exponents": tuple(number(exponent) for exponent in exponents(objective)),
        }

    def half_step(self, side: Side, state: State) -> None:
        """Multiply each entry by its ratio, (MU.4)."""
        X, partners, view, penalty, columns, work, _ = side
        multiply_rows(view, work, X, partners, penalty, columns, state["loss"], state["exponents"])

    def share_out(self, view: Compressed, partners: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return spans and cuts, see `shares`."""
        return shares(view, partners)


def shares(view: Compressed, partners: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `work` for `multiply_rows`; with several tiles there are few spans, so that each tile serves many rows."""
    cuts = tile_cuts(view, partners)
    return even_spans(view, N_SPANS if cuts.shape[1] == 2 else FEW_SPANS), cuts


def exponents(objective: Objective) -> tuple[float, float]:
    """Return the exponents of (MU.4) for latent and for bias columns."""
    beta = objective.loss
    free = 1.0 if beta >= 1 else 1 / (2 - beta)
    with_ridge = 1 / (3 - beta)
    latent_ridge = max(objective.alpha) * (1 - objective.l1_ratio)
    return with_ridge if latent_ridge > 0 else free, with_ridge if max(objective.alpha_bias) > 0 else free


@parallel_kernel
def multiply_rows(
    view: Compressed,
    work: tuple[NDArray[np.int64], NDArray[np.int64]],
    W: NDArray[Any],
    H: NDArray[Any],
    penalty: Penalty,
    columns: Columns,
    loss: tuple[Any, Any],
    exponents: tuple[Any, Any],
) -> None:
    """Update each row of W in place, H fixed; called with the roles swapped it updates H.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows of W.
    work : (spans, cuts)
        Runs of rows to share out, and where each row's ratings pass from tile to tile, from `shares`.
    W, H : ndarray, shapes (n_rows, K) and (n_columns, K)
    penalty : Penalty
        Of the side of W.
    columns : Columns
        Layout of W.
    loss : (beta, floor)
        β of the divergence, and the least prediction it is asked about; in the dtype of the factors, as all numbers.
    exponents : tuple of float
        Of latent and of bias columns.
    """
    _, indices, values, weights = view
    spans, cuts = work
    for span in numba.prange(len(spans) - 1):
        first, n_rows = spans[span], spans[span + 1] - spans[span]
        up, down = np.empty((n_rows, W.shape[1]), W.dtype), np.empty((n_rows, W.shape[1]), W.dtype)
        for row in range(n_rows):
            u = first + row
            pull_of_penalty(W[u], penalty, u, columns, up[row], down[row])
        for tile in range(cuts.shape[1] - 1):
            for row in range(n_rows):
                u = first + row
                observed = slice(cuts[u, tile], cuts[u, tile + 1])
                own = indices[observed], values[observed], weights[observed]
                if loss[0] == 2:
                    pull_of_squares(W[u], H, own, up[row], down[row])
                else:
                    pull_of_ratings(W[u], H, own, loss, up[row], down[row])
        for row in range(n_rows):
            multiply(W[first + row], up[row], down[row], columns, exponents)


@kernel
def pull_of_penalty(
    w: NDArray[Any], penalty: Penalty, row: int, columns: Columns, up: NDArray[Any], down: NDArray[Any]
) -> None:
    """Set numerator and denominator to what the penalty adds to them."""
    ridge, lasso = penalty.ridge[row], penalty.lasso[row]
    for f in range(len(w)):
        up[f] = ridge - ridge  # zero in the dtype of the factors
        down[f] = ridge * w[f] + lasso
    if columns.free_bias >= 0:
        up[columns.free_bias] = penalty.bias_ridge * penalty.bias_level  # (MU.2)
        down[columns.free_bias] = penalty.bias_ridge * w[columns.free_bias]  # (MU.3)


@kernel
def pull_of_squares(w: NDArray[Any], H: NDArray[Any], own: Own, up: NDArray[Any], down: NDArray[Any]) -> None:
    """Add the ratings of one row to numerator and denominator, for squared error: the pulls are r and r̂.

    Four ratings at a time: each entry of the sums is then fetched and stored once for four ratings, not for one.
    """
    items, ratings, weights = own
    by_four = len(items) - len(items) % 4
    for p in range(0, by_four, 4):
        for q in range(4):
            fetch_ahead(H, items, p + q)
        h0, h1, h2, h3 = H[items[p]], H[items[p + 1]], H[items[p + 2]], H[items[p + 3]]
        c0, c1, c2, c3 = weights[p], weights[p + 1], weights[p + 2], weights[p + 3]
        r0, r1, r2, r3 = c0 * ratings[p], c1 * ratings[p + 1], c2 * ratings[p + 2], c3 * ratings[p + 3]
        p0 = p1 = p2 = p3 = r0 - r0
        for f in range(len(w)):
            p0 += w[f] * h0[f]  # (MU.1)
            p1 += w[f] * h1[f]
            p2 += w[f] * h2[f]
            p3 += w[f] * h3[f]
        p0, p1, p2, p3 = c0 * p0, c1 * p1, c2 * p2, c3 * p3
        for f in range(len(w)):
            up[f] += r0 * h0[f] + r1 * h1[f] + r2 * h2[f] + r3 * h3[f]  # (MU.2)
            down[f] += p0 * h0[f] + p1 * h1[f] + p2 * h2[f] + p3 * h3[f]  # (MU.3)
    for p in range(by_four, len(items)):
        h, rating = H[items[p]], weights[p] * ratings[p]
        prediction = weights[p] * dot(w, h)
        for f in range(len(w)):
            up[f] += rating * h[f]
            down[f] += prediction * h[f]


@kernel
def pull_of_ratings(
    w: NDArray[Any],
    H: NDArray[Any],
    own: Own,
    loss: tuple[Any, Any],
    up: NDArray[Any],
    down: NDArray[Any],
) -> None:
    """Add the ratings of one row to numerator and denominator, for any β."""
    items, ratings, weights = own
    beta, floor = loss
    for p in range(len(items)):
        h = H[items[p]]
        pull_up, pull_down = pulls(ratings[p], dot(w, h), beta, floor)
        pull_up, pull_down = weights[p] * pull_up, weights[p] * pull_down
        for f in range(len(w)):
            up[f] += pull_up * h[f]  # (MU.2)
            down[f] += pull_down * h[f]  # (MU.3)


@kernel
def multiply(
    w: NDArray[Any], up: NDArray[Any], down: NDArray[Any], columns: Columns, exponents: tuple[Any, Any]
) -> None:
    """Multiply the free entries of one row by their ratios."""
    for f in range(len(w)):
        # Without anything that pushes down, a positive entry has no effect, and zero is locked: either stays.
        if f != columns.frozen and down[f] > 0:
            exponent = exponents[1] if f == columns.free_bias else exponents[0]
            ratio = up[f] / down[f]
            w[f] *= ratio if exponent == 1 else ratio**exponent  # (MU.4)


@kernel
def dot(w: NDArray[Any], h: NDArray[Any]) -> Any:
    """Return w · h, summed in the dtype of the factors."""
    total = w[0] * h[0]
    for f in range(1, len(w)):
        total += w[f] * h[f]
    return total  # (MU.1)


@kernel
def pulls(rating: Any, prediction: Any, beta: Any, floor: Any) -> tuple[Any, Any]:
    """Return r r̂^(β−2) and r̂^(β−1), the weights with which one rating pulls up and pushes down."""
    floored = max(prediction, floor)
    if beta == 1:
        return rating / floored, floored / floored
    return rating * floored ** (beta - 2), floored ** (beta - 1)
