"""Adaptive steps, AdaGrad (Duchi, Hazan & Singer 2011, JMLR 12), per row as in LIBMF (Chin, Zhuang, Juan & Lin 2015).

Idea: one step size cannot suit everybody. A film that is visited a thousand times per epoch could do with small steps,
one that is visited twice needs large ones. So let each row add up the squares of its gradients, and divide its step by
the root of that sum. With the gradient g_uf of (SGD.2), and likewise for items,

    w_uf ← max(0, w_uf − η g_uf / √Z_u)                                                             (ADG.1)
    Z_u ← Z_u + (1/k) Σ_f g_uf²           per="row": the latent columns of a row share one sum      (ADG.2)

A bias has gradients of another size and keeps a sum of its own. With per="coordinate" every entry does, as in the
original: read (ADG.2) with one column at a time. One number per row costs next to no memory traffic, which is the point
of Chin et al. (PAKDD 2015, section 3), and a mean over k columns is less noisy than a single square.

All sums start from `initial`. A large one makes the first steps even and lets the sums take over late: as it grows (and
the step with its root) the method turns into projected stochastic gradient descent.

Accumulators only grow, so steps decrease by themselves, for a busy row like 1/√visits. That is too slow to end on: the
cosine schedule on top averages the last noise out.

Cost: O(n_ratings · k) per epoch. Not monotone. Derived in docs/learn/adaptive-steps.md.

The same in plain NumPy, its naive twin: tests/reference/adagrad.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_choice, check_number
from nmf_scratch._jit import LINE, kernel
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Side, Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of

GROUPS = ("row", "coordinate")


@dataclass(frozen=True)
class AdaGrad(Stochastic):
    """Stochastic gradient descent whose step shrinks with the gradients that a row has seen.

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
    defaults: ClassVar[Defaults] = Defaults(alpha=0.2, alpha_bias=16.0, max_iter=30)
    memory: ClassVar[tuple[str, ...]] = (*Stochastic.memory, "sums_W", "sums_H", "bias_sums_W", "bias_sums_H")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("per", self.per, GROUPS)
        check_number("initial", self.initial, minimum=0.0, exclusive=True)

    def forget(self, state: State) -> None:
        """Set all sums to their first value."""
        super().forget(state)
        for side in ("W", "H"):
            latent, bias, *_ = state[f"side_{side}"]
            shape = (len(latent), 1) if self.per == "row" else latent.shape
            state[f"sums_{side}"] = np.full(shape, self.initial, latent.dtype)
            state[f"bias_sums_{side}"] = np.full(len(bias), self.initial, bias.dtype)

    def sweep(self, state: State, step: Any) -> float:
        """Visit every rating once."""
        sums = Sums(*(state[f"{name}_{side}"] for side in ("W", "H") for name in ("sums", "bias_sums")))
        args = order_of(state), state["side_W"], state["side_H"], sums, state["biases"], step
        if self.per == "coordinate":
            return by_coordinate(*args)
        k, number = state["columns_W"].n_latent, step.dtype.type
        return by_row(*args, number(1 / k), number(-k % LINE))


class Sums(NamedTuple):
    """What `AdaGrad` adds up, rows in grid order.

    Attributes
    ----------
    latent_W, latent_H : ndarray, shape (n_rows, 1) or (n_rows, width)
        Squares of the gradient: their mean over the latent columns, or those of each entry.
    bias_W, bias_H : ndarray, shape (n_rows,)
        Squares of the gradient of the bias.
    """

    latent_W: NDArray[Any]
    bias_W: NDArray[Any]
    latent_H: NDArray[Any]
    bias_H: NDArray[Any]


@kernel
def by_row(
    visits: Visits, side_W: Side, side_H: Side, sums: Sums, biases: bool, step: Any, share: Any, padding: Any
) -> float:
    """Visit the ratings one by one, update both sides and all sums in place; return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    side_W, side_H : Side
    sums : Sums
    biases : bool
        Whether there are any.
    step : float
        η of this epoch, in the dtype of the factors, as are the next two.
    share, padding : float
        1/k, and how many columns of the layout are padding.
    """
    tiles, starts, users, items, values, weights = visits
    W, b, ridge_w, lasso_w, bias_ridge_w, level_w = side_W
    H, c, ridge_h, lasso_h, bias_ridge_h, level_h = side_H
    Z_w, Z_b, Z_h, Z_c = sums
    width = W.shape[1] // LINE * LINE  # the division tells the compiler that no remainder is to be looked after
    zero, squares = step - step, 0.0  # zero in the dtype of the factors: a literal would widen float32 to float64
    for tile in tiles:
        for p in range(np.uint64(starts[tile]), np.uint64(starts[tile + 1])):
            u, i, weight = np.uint64(users[p]), np.uint64(items[p]), weights[p]
            error = values[p]
            for f in range(width):
                error -= W[u, f] * H[i, f]  # (SGD.1)
            if biases:
                error -= b[u] + c[i]
            squares += weight * error * error
            rate_w, rate_h = step / np.sqrt(Z_w[u, 0]), step / np.sqrt(Z_h[i, 0])
            lambda_w, rho_w, lambda_h, rho_h = ridge_w[u], lasso_w[u], ridge_h[i], lasso_h[i]
            total_w, total_h = -padding * rho_w * rho_w, -padding * rho_h * rho_h  # what the padding will add
            for f in range(width):
                w, h = W[u, f], H[i, f]
                g_w = lambda_w * w + rho_w - error * h  # (SGD.2)
                g_h = lambda_h * h + rho_h - error * w
                W[u, f] = max(w - rate_w * weight * g_w, zero)  # (ADG.1)
                H[i, f] = max(h - rate_h * weight * g_h, zero)
                total_w += g_w * g_w
                total_h += g_h * g_h
            Z_w[u, 0] += weight * weight * share * total_w  # (ADG.2)
            Z_h[i, 0] += weight * weight * share * total_h
            if biases:
                g_b = weight * (bias_ridge_w[u] * (b[u] - level_w) - error)
                g_c = weight * (bias_ridge_h[i] * (c[i] - level_h) - error)
                b[u] = max(b[u] - step / np.sqrt(Z_b[u]) * g_b, zero)
                c[i] = max(c[i] - step / np.sqrt(Z_c[i]) * g_c, zero)
                Z_b[u] += g_b * g_b
                Z_c[i] += g_c * g_c
    return squares


@kernel
def by_coordinate(visits: Visits, side_W: Side, side_H: Side, sums: Sums, biases: bool, step: Any) -> float:
    """Do what `by_row` does, with a sum for each entry."""
    tiles, starts, users, items, values, weights = visits
    W, b, ridge_w, lasso_w, bias_ridge_w, level_w = side_W
    H, c, ridge_h, lasso_h, bias_ridge_h, level_h = side_H
    Z_w, Z_b, Z_h, Z_c = sums
    width = W.shape[1] // LINE * LINE
    zero, squares = step - step, 0.0
    for tile in tiles:
        for p in range(np.uint64(starts[tile]), np.uint64(starts[tile + 1])):
            u, i, weight = np.uint64(users[p]), np.uint64(items[p]), weights[p]
            error = values[p]
            for f in range(width):
                error -= W[u, f] * H[i, f]  # (SGD.1)
            if biases:
                error -= b[u] + c[i]
            squares += weight * error * error
            for f in range(width):
                w, h = W[u, f], H[i, f]
                g_w = weight * (ridge_w[u] * w + lasso_w[u] - error * h)  # (SGD.2)
                g_h = weight * (ridge_h[i] * h + lasso_h[i] - error * w)
                W[u, f] = max(w - step / np.sqrt(Z_w[u, f]) * g_w, zero)  # (ADG.1)
                H[i, f] = max(h - step / np.sqrt(Z_h[i, f]) * g_h, zero)
                Z_w[u, f] += g_w * g_w  # (ADG.2)
                Z_h[i, f] += g_h * g_h
            if biases:
                g_b = weight * (bias_ridge_w[u] * (b[u] - level_w) - error)
                g_c = weight * (bias_ridge_h[i] * (c[i] - level_h) - error)
                b[u] = max(b[u] - step / np.sqrt(Z_b[u]) * g_b, zero)
                c[i] = max(c[i] - step / np.sqrt(Z_c[i]) * g_c, zero)
                Z_b[u] += g_b * g_b
                Z_c[i] += g_c * g_c
    return squares
