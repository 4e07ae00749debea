"""Exponentiated gradient (Kivinen & Warmuth 1997, Information and Computation 132): steps that multiply.

Idea: a step that is added may leave the non-negative numbers and needs a projection; a step that multiplies by a
positive number cannot. It is the stochastic cousin of the multiplicative updates. With the gradient g_uf of (SGD.2),
s_f the typical size of an entry of column f at the start, and likewise for items,

    x_uf = −η g_uf / s_f,    clipped to −1 … 1                                                      (EG.1)
    w_uf ← max(floor, w_uf · exp(x_uf))                                                             (EG.2)

For a small step exp(x) is 1 + x, so an entry near s_f moves as it would in sgd by the same η: one scale of steps for
both. A large entry moves further, a small one less far: few entries grow and most shrink, so the factors become almost
sparse without a lasso, and never exactly.

The clip lets no visit change an entry more than e-fold, which is what an outlier or a step too large would do. The
floor (1e-8, against a typical entry of 0.1) keeps an entry from sinking so deep, to zero in the end, that no later
gradient could bring it back: from there it takes twenty visits. A start with zeros is lifted to the floor.

exp is computed as e^x = (e^(x/16))^16: eight terms of the series for x/16 and four squarings, exact to rounding for
`|x|` ≤ 1. Unlike a call of the library's exp it runs in SIMD registers.

Cost: O(n_ratings · k) per epoch, a larger constant than sgd. Not monotone. Derived in
docs/learn/exponentiated-gradient.md.

The same in plain NumPy, its naive twin: tests/reference/exponentiated_gradient.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import LINE, kernel
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Side, Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of

SMALLEST = 1e-8
"""Smallest value of a factor entry."""

SERIES = (1 / 16, *(1 / n for n in range(7, 0, -1)))
"""What an exponent is divided by, and then the quotients of the terms of the exponential series, last term first."""


@dataclass(frozen=True)
class ExponentiatedGradient(Stochastic):
    """Stochastic multiplicative steps.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`.
    """

    step: float = 0.1

    name: ClassVar[str] = "eg"
    parallel: ClassVar[bool] = False
    defaults: ClassVar[Defaults] = Defaults(alpha=0.24, alpha_bias=16.0, max_iter=60)
    memory: ClassVar[tuple[str, ...]] = (*Stochastic.memory, "sizes_W", "sizes_H", "bias_size_W", "bias_size_H")

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare as all do, and measure how large a typical entry is."""
        state = super().start(train, factors, objective, key=key, max_iter=max_iter)
        for side in ("W", "H"):
            sizes = np.maximum(state[side].mean(axis=0), SMALLEST, dtype=state[side].dtype)
            columns = state[f"columns_{side}"]
            state[f"sizes_{side}"] = np.full(state[f"side_{side}"].latent.shape[1], np.inf, sizes.dtype)
            state[f"sizes_{side}"][: columns.n_latent] = sizes[: columns.n_latent]
            state[f"bias_size_{side}"] = sizes[columns.free_bias]
        return state

    def sweep(self, state: State, step: Any) -> float:
        """Visit every rating once."""
        sides = state["side_W"], state["side_H"]
        rates_W, rates_H = (Rates(step / state[f"sizes_{x}"], step / state[f"bias_size_{x}"]) for x in ("W", "H"))
        floor, *series = map(step.dtype.type, (SMALLEST, *SERIES))
        return eg_sweep(order_of(state), *sides, rates_W, rates_H, state["biases"], floor, tuple(series))


class Rates(NamedTuple):
    """η / s_f of one side: of its padded latent columns, shape (width,), and of its bias."""

    latent: NDArray[Any]
    bias: Any


@kernel
def eg_sweep(
    visits: Visits,
    side_W: Side,
    side_H: Side,
    rates_W: Rates,
    rates_H: Rates,
    biases: bool,
    floor: Any,
    series: tuple[Any, ...],
) -> float:
    """Visit the ratings one by one, update both sides in place; return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    side_W, side_H : Side
        Their padding is lifted to the floor, where its products are too small to count.
    rates_W, rates_H : Rates
    biases : bool
        Whether there are any.
    floor : float
    series : tuple of float
        `SMALLEST` and `SERIES` in the dtype of the factors: a literal would widen float32 to float64.
    """
    tiles, starts, users, items, values, weights = visits
    W, b, ridge_w, lasso_w, bias_ridge_w, level_w = side_W
    H, c, ridge_h, lasso_h, bias_ridge_h, level_h = side_H
    width = W.shape[1] // LINE * LINE
    squares = 0.0
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
                W[u, f] = multiplied(w, -rates_W.latent[f] * g_w, floor, series)
                H[i, f] = multiplied(h, -rates_H.latent[f] * g_h, floor, series)
            if biases:
                b[u] = multiplied(
                    b[u], rates_W.bias * weight * (error - bias_ridge_w[u] * (b[u] - level_w)), floor, series
                )
                c[i] = multiplied(
                    c[i], rates_H.bias * weight * (error - bias_ridge_h[i] * (c[i] - level_h)), floor, series
                )
    return squares


@kernel
def multiplied(w: Any, exponent: Any, floor: Any, series: tuple[Any, ...]) -> Any:
    """Return an entry times an exponential, clipped and with a floor; all numbers in the dtype of the factors."""
    one = floor / floor
    y = min(max(exponent, -one), one) * series[0]  # (EG.1), divided by 16
    power = one
    for share in series[1:]:  # 1 + y/1 (1 + y/2 (1 + y/3 (…)))
        power = one + y * share * power
    for _ in range(4):
        power *= power
    return max(w * power, floor)  # (EG.2)
