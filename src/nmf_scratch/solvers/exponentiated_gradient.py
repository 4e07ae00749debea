"""Exponentiated gradient (Kivinen & Warmuth 1997, Information and Computation 132): steps that multiply.

Idea: a step that is added may leave the non-negative numbers and needs a projection; a step that multiplies by a
positive number cannot. It is the stochastic cousin of the multiplicative updates. With the slopes g_uf of (SGD.2), s_f
the typical size of an entry of column f at the start, and likewise for items,

    x_uf = −η g_uf / s_f,    clipped to −1 … 1                                                      (EG.1)
    w_uf ← max(floor, w_uf · exp(x_uf))                                                             (EG.2)

For a small step exp(x) is 1 + x, so an entry near s_f moves as it would in sgd by the same η: one scale of steps for
both. A large entry moves further, a small one less far: few entries grow and most shrink, so the factors become almost
sparse without a lasso, and never exactly.

The clip lets no visit change an entry more than e-fold, which is what an outlier or a step too large would do. The
floor (1e-8, against a typical entry of 0.1) keeps an entry from sinking so deep, to zero in the end, that no later
slope could bring it back: from there it takes twenty visits. A start with zeros is lifted to the floor.

exp is computed as e^x = (e^(x/16))^16: eight terms of the series for x/16 and four squarings, exact to rounding for
`|x|` ≤ 1. Unlike a call of the library's exp it runs in SIMD registers.

Cost: O(n_ratings · k) per epoch, a larger constant than sgd. Not monotone. Derived in
docs/learn/exponentiated-gradient.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import kernel
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of, share, slopes

FLOOR = 1e-8
"""Smallest value of a factor entry."""


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
    defaults: ClassVar[Defaults] = Defaults(alpha=0.022, alpha_bias=8.0, max_iter=60)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare as all do, and measure how large a typical entry is."""
        state = super().start(train, factors, objective, key=key, max_iter=max_iter)
        for side in ("W", "H"):
            state[f"size_{side}"] = np.maximum(state[side].mean(axis=0), FLOOR, dtype=state[side].dtype)
        return state

    def epoch(self, state: State) -> None:
        """Visit every rating once, in a new random order."""
        step = self.open_epoch(state)
        squares = eg_epoch(
            order_of(state),
            state["W"],
            state["H"],
            (step / state["size_W"], step / state["size_H"]),
            state["penalty_W"],
            state["penalty_H"],
            state["biases"],
            step.dtype.type(FLOOR),
        )
        self.close_epoch(state, squares)


@kernel
def eg_epoch(
    visits: Visits,
    W: NDArray[Any],
    H: NDArray[Any],
    rates: tuple[NDArray[Any], NDArray[Any]],
    penalty_W: Penalty,
    penalty_H: Penalty,
    biases: bool,
    floor: Any,
) -> float:
    """Visit the ratings one by one, update W and H in place; return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    W, H : ndarray, shapes (n_users, K) and (n_items, K)
    rates : pair of ndarray, shape (K,) each
        η / s_f of both sides.
    penalty_W, penalty_H : Penalty
    biases : bool
        Whether the last two columns are bias columns, laid out as in `nmf_scratch.factors`.
    floor : float
        In the dtype of the factors.
    """
    tiles, starts, users, items, values, weights = visits
    rates_w, rates_h = rates
    slope_w, slope_h = np.zeros_like(W[0]), np.zeros_like(H[0])
    squares = 0.0
    for tile in tiles:
        for p in range(starts[tile], starts[tile + 1]):
            u, i = users[p], items[p]
            shares = share(penalty_W, u), share(penalty_H, i)
            error = slopes(values[p], weights[p], W[u], H[i], *shares, biases, slope_w, slope_h)
            squares += weights[p] * error * error
            multiply(W[u], slope_w, rates_w, floor)
            multiply(H[i], slope_h, rates_h, floor)
    return squares


@kernel
def multiply(w: NDArray[Any], slope: NDArray[Any], rates: NDArray[Any], floor: Any) -> None:
    """Multiply a row by the exponential of its slope; a frozen column has slope zero and keeps its ones.

    Parameters
    ----------
    w, slope, rates : ndarray, shape (K,)
    floor : float
    """
    one = floor / floor  # in the dtype of the factors, as all numbers here
    for f in range(len(w)):
        x = min(max(-rates[f] * slope[f], -one), one)  # (EG.1)
        y = x * (one / 16)
        series = one
        for n in range(7, 0, -1):  # 1 + y/1 (1 + y/2 (1 + y/3 (…)))
            series = one + y * series / n
        for _ in range(4):
            series *= series
        w[f] = max(w[f] * series, floor)  # (EG.2)
