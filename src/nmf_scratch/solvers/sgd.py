"""Projected stochastic gradient descent (Robbins & Monro 1951; for ratings: Funk 2006, Koren et al. 2009).

Idea: visit the ratings in random order; each one alone gives a noisy but nearly free estimate of the gradient, that
touches two rows only. Step against it, and project back onto the non-negative numbers. For rating r_ui,

    e_ui = r_ui − w_u · h_i                                                                         (SGD.1)
    g_uf = −e_ui h_if + λ_uf/n_u ((1−ρ) (w_uf − m_f) + ρ),      g_if likewise                       (SGD.2)
    w_uf ← max(0, w_uf − η g_uf)                                                                    (SGD.3)
    h_if ← max(0, h_if − η g_if)      with g_if from the old w_uf                                   (SGD.4)

A row of n_u ratings is visited n_u times in an epoch, so each visit carries 1/n_u of its penalty: λ_uf/n_u is
alpha n_u^(ν−1) for a latent column, and alpha_bias/n_u for a bias. The step η follows a schedule (SGD.5),
(SGD.6), in `nmf_scratch.solvers.stochastic`; the order of the visits, and the layout of the factors that makes a visit
cheap, are those of `nmf_scratch.solvers.grid`.

Momentum remembers the way of the last epoch, and goes a fraction of it again before the first visit of the next, so
that gradients are taken at the point ahead (Nesterov 1983, with a constant share; the heavy ball of Polyak, 1964, takes
them before it moves on):

    W ← max(0, W + momentum · (W − W at the start of the last epoch)),    likewise H                (SGD.7)

Once per epoch, not per visit: a velocity that decays per visit is gone after ten of them, which is a moment for a busy
item and ten epochs for a quiet one. Per epoch, every row remembers equally long and the visit stays as cheap as it was.

Cost: O(n_ratings · k) per epoch with a small constant: its epochs are the cheapest of all solvers that run on one core.
On a hundred thousand ratings `cd` still gets to a good test error sooner; on tens of millions it does not. Not
monotone. Projection makes exact zeros, which a later gradient can revive (a multiplicative update cannot). Derived in
docs/learn/projected-sgd.md.

The same in plain NumPy, its naive twin: tests/reference/sgd.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import LINE, kernel
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Side, Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of


@dataclass(frozen=True)
class SGD(Stochastic):
    """Projected stochastic gradient descent.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`.
    momentum : float
        Share of the last epoch's way that is gone again before the next, 0 … 0.99.
    """

    step: float = 0.1
    momentum: float = 0.0

    name: ClassVar[str] = "sgd"
    parallel: ClassVar[bool] = False
    defaults: ClassVar[Defaults] = Defaults(alpha=0.24, alpha_bias=16.0, max_iter=60)
    memory: ClassVar[tuple[str, ...]] = (*Stochastic.memory, "before_W", "before_H")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("momentum", self.momentum, minimum=0.0, maximum=0.99)

    def forget(self, state: State) -> None:
        """Stand still: the last epoch led nowhere."""
        super().forget(state)
        if self.momentum:
            state["before_W"], state["before_H"] = state["W"].copy(), state["H"].copy()

    def open_epoch(self, state: State) -> Any:
        """Go on the way of the last epoch, and return η."""
        step = super().open_epoch(state)
        if self.momentum:
            for side in ("W", "H"):
                push(state[side], state[f"before_{side}"], self.momentum)
        return step

    def sweep(self, state: State, step: Any) -> float:
        """Visit every rating once."""
        return sgd_sweep(order_of(state), state["side_W"], state["side_H"], state["biases"], step)


def push(X: NDArray[Any], before: NDArray[Any], momentum: float) -> None:
    """Move X on by a share of the way from `before`, which becomes X as it was; a frozen column has gone no way."""
    way = X - before
    before[:] = X
    np.maximum(X + X.dtype.type(momentum) * way, 0, out=X)  # (SGD.7)


@kernel
def sgd_sweep(visits: Visits, side_W: Side, side_H: Side, biases: bool, step: Any) -> float:
    """Visit ratings one after the other, update both sides in place, and return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    side_W, side_H : Side
    biases : bool
        Whether there are any.
    step : float
        η of this epoch, in the dtype of the factors.
    """
    tiles, starts, users, items, values, weights = visits
    W, b, ridge_w, lasso_w, bias_ridge_w, level_w = side_W
    H, c, ridge_h, lasso_h, bias_ridge_h, level_h = side_H
    width = W.shape[1] // LINE * LINE  # the division tells the compiler that no remainder is to be looked after
    zero, one = step - step, step / step  # in the dtype of the factors: a literal would widen float32 to float64
    squares = 0.0
    for tile in tiles:
        for p in range(np.uint64(starts[tile]), np.uint64(starts[tile + 1])):
            u, i = np.uint64(users[p]), np.uint64(items[p])
            error = values[p]
            for f in range(width):
                error -= W[u, f] * H[i, f]  # (SGD.1)
            if biases:
                error -= b[u] + c[i]
            squares += weights[p] * error * error
            eta = step * weights[p]
            push = eta * error
            keep_w, less_w = one - eta * ridge_w[u], eta * lasso_w[u]
            keep_h, less_h = one - eta * ridge_h[i], eta * lasso_h[i]
            for f in range(width):
                w, h = W[u, f], H[i, f]
                W[u, f] = max(keep_w * w + push * h - less_w, zero)  # (SGD.3)
                H[i, f] = max(keep_h * h + push * w - less_h, zero)  # (SGD.4)
            if biases:
                b[u] = max(b[u] + push - eta * bias_ridge_w[u] * (b[u] - level_w), zero)
                c[i] = max(c[i] + push - eta * bias_ridge_h[i] * (c[i] - level_h), zero)
    return squares
