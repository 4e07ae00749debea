"""Adaptive steps, AdaGrad (Duchi, Hazan & Singer 2011, JMLR 12), per row as in LIBMF (Chin, Zhuang, Juan & Lin 2015).

Idea: one step size cannot suit everybody. A film that is visited a thousand times per epoch could do with small steps,
one that is visited twice needs large ones. So let each row add up the squares of its slopes, and divide its step by the
root of that sum. With the slopes g_uf of (SGD.2), and likewise for items,

    w_uf ← max(0, w_uf − η g_uf / √Z_u)                                                             (ADG.1)
    Z_u ← Z_u + (1/k) Σ_f g_uf²           per="row": the latent columns of a row share one sum      (ADG.2)

A bias has slopes of another size and keeps a sum of its own. With per="coordinate" every entry does, as in the
original: read (ADG.2) with one column at a time. One number per row costs next to no memory traffic, which is the point
of Chin et al. (PAKDD 2015, section 3), and a mean over k columns is less noisy than a single square.

All sums start from `initial`. A large one makes the first steps even and lets the sums take over late: as it grows (and
the step with its root) the method turns into projected stochastic gradient descent.

Accumulators only grow, so steps decrease by themselves, for a busy row like 1/√visits. That is too slow to end on: the
cosine schedule on top averages the last noise out.

Cost: O(n_ratings · k) per epoch. Not monotone. Derived in docs/learn/adaptive-steps.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_choice, check_number
from nmf_scratch._jit import kernel
from nmf_scratch.objective import Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of, share, slopes

GROUPS = ("row", "coordinate")


@dataclass(frozen=True)
class AdaGrad(Stochastic):
    """Stochastic gradient descent whose step shrinks with the slopes that a row has seen.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`.
    per : {"row", "coordinate"}
        What has a sum of its own: the latent part of a row, or each entry.
    initial : float
        What the sums start from, > 0.
    """

    step: float = 0.1
    per: str = "row"
    initial: float = 0.3

    name: ClassVar[str] = "adagrad"
    parallel: ClassVar[bool] = False
    defaults: ClassVar[Defaults] = Defaults(alpha=0.02, alpha_bias=8.0, max_iter=30)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("per", self.per, GROUPS)
        check_number("initial", self.initial, minimum=0.0, exclusive=True)

    def forget(self, state: State) -> None:
        """Set all sums to their first value."""
        super().forget(state)
        for side in ("W", "H"):
            n_rows, n_columns = state[side].shape
            n_sums = 2 if self.per == "row" else n_columns  # 2: one for the latent columns, one for the bias
            state[f"sums_{side}"] = np.full((n_rows, n_sums), self.initial, state[side].dtype)

    def epoch(self, state: State) -> None:
        """Visit every rating once, in a new random order."""
        step = self.open_epoch(state)
        visit_all = adagrad_by_row if self.per == "row" else adagrad_by_coordinate
        squares = visit_all(
            order_of(state),
            state["W"],
            state["H"],
            (state["sums_W"], state["sums_H"]),
            state["penalty_W"],
            state["penalty_H"],
            state["biases"],
            step,
        )
        self.close_epoch(state, squares)


@kernel
def adagrad_by_row(
    visits: Visits,
    W: NDArray[Any],
    H: NDArray[Any],
    sums: tuple[NDArray[Any], NDArray[Any]],
    penalty_W: Penalty,
    penalty_H: Penalty,
    biases: bool,
    step: Any,
) -> float:
    """Visit the ratings one by one, update W, H and sums in place; return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    W, H : ndarray, shapes (n_users, K) and (n_items, K)
    sums : pair of ndarray, shapes (n_users, 2) and (n_items, 2)
        Accumulated squares of each row: of its latent columns (their mean), and of its bias.
    penalty_W, penalty_H : Penalty
    biases : bool
        Whether the last two columns are bias columns, laid out as in `nmf_scratch.factors`.
    step : float
        η of this epoch, in the dtype of the factors.
    """
    tiles, starts, users, items, values, weights = visits
    k = W.shape[1] - 2 * biases
    zero, squares = step - step, 0.0
    for tile in tiles:
        for p in range(starts[tile], starts[tile + 1]):
            u, i = users[p], items[p]
            w, h, sums_w, sums_h = W[u], H[i], sums[0][u], sums[1][i]
            ridge_w, lasso_w, bias_w, pull_w = share(penalty_W, u)
            ridge_h, lasso_h, bias_h, pull_h = share(penalty_H, i)
            error, weight = values[p], weights[p]
            for f in range(k):
                error -= w[f] * h[f]  # (SGD.1)
            if biases:
                error -= w[k] + h[k + 1]
            squares += weight * error * error
            rate_w, rate_h = step / np.sqrt(sums_w[0]), step / np.sqrt(sums_h[0])
            total_w, total_h = zero, zero
            for f in range(k):
                g_w = weight * (ridge_w * w[f] + lasso_w - error * h[f])  # (SGD.2)
                g_h = weight * (ridge_h * h[f] + lasso_h - error * w[f])
                w[f] = max(w[f] - rate_w * g_w, zero)  # (ADG.1)
                h[f] = max(h[f] - rate_h * g_h, zero)
                total_w += g_w * g_w
                total_h += g_h * g_h
            sums_w[0] += total_w / k  # (ADG.2)
            sums_h[0] += total_h / k
            if biases:
                w[k] = move(w[k], weight * (bias_w * w[k] - pull_w - error), sums_w, 1, step)
                h[k + 1] = move(h[k + 1], weight * (bias_h * h[k + 1] - pull_h - error), sums_h, 1, step)
    return squares


@kernel
def adagrad_by_coordinate(
    visits: Visits,
    W: NDArray[Any],
    H: NDArray[Any],
    sums: tuple[NDArray[Any], NDArray[Any]],
    penalty_W: Penalty,
    penalty_H: Penalty,
    biases: bool,
    step: Any,
) -> float:
    """Do what `adagrad_by_row` does, with sums of the shapes of W and H: one for each entry."""
    tiles, starts, users, items, values, weights = visits
    slope_w, slope_h = np.zeros_like(W[0]), np.zeros_like(H[0])
    squares = 0.0
    for tile in tiles:
        for p in range(starts[tile], starts[tile + 1]):
            u, i = users[p], items[p]
            w, h, sums_w, sums_h = W[u], H[i], sums[0][u], sums[1][i]
            shares = share(penalty_W, u), share(penalty_H, i)
            error = slopes(values[p], weights[p], w, h, *shares, biases, slope_w, slope_h)
            squares += weights[p] * error * error
            for f in range(len(w)):
                w[f] = move(w[f], slope_w[f], sums_w, f, step)
                h[f] = move(h[f], slope_h[f], sums_h, f, step)
    return squares


@kernel
def move(w: Any, slope: Any, sums: NDArray[Any], own: int, step: Any) -> Any:
    """Return an entry moved against its slope, and add the square of the slope to its own sum."""
    moved = max(w - step / np.sqrt(sums[own]) * slope, step - step)  # (ADG.1)
    sums[own] += slope * slope  # (ADG.2)
    return moved
