"""Adam (Kingma & Ba 2015, ICLR, algorithm 1) with sparse moments, projected.

Idea: keep a running mean of the slopes of every entry and of their squares, and step by mean / root mean square: an
entry whose slopes agree moves a full step η, one whose slopes quarrel stays about where it is, and the size of the
slopes cancels. With the slopes g_uf of (SGD.2), at each visit of row u, and likewise of an item's row,

    a_uf ← β₁ a_uf + (1−β₁) g_uf                                                                    (ADAM.1)
    v_uf ← β₂ v_uf + (1−β₂) g_uf²                                                                   (ADAM.2)
    w_uf ← max(0, w_uf − η a_uf/(1−β₁^n) / (√(v_uf/(1−β₂^n)) + ε))                                  (ADAM.3)

where n counts the visits of *this row*: both means start at zero, and the divisions undo that. They are *lazy*: a row
that a rating does not touch keeps them, where the original would let them fade and move the row on without a reason of
its own, at the cost of touching every row at every rating.

How long the means remember decides what is minimised. With a long memory (β₂ near 1) the root in (ADAM.3) is a constant
between two visits, and the steps balance where the slopes do: at the objective's minimum. With a short one the slope of
this very visit is a good part of the root that divides it: large slopes are held back, small ones are not, and an
outlier pulls little more than any other rating. The balance moves from the mean of the ratings towards their median: a
robust loss, by the back door. The default is short, β₁ = 0 and β₂ = 0.9: it ends at a *higher* objective than sgd, and
predicts held-out ratings better (on the validation splits of choose_defaults.py by 0.005 stars at k = 40). To minimise
the objective itself take beta2=0.999.

Cost: O(n_ratings · k) per epoch, three times the memory. Not monotone. Derived in docs/learn/adaptive-steps.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import kernel
from nmf_scratch.objective import Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of, share, slopes

EPSILON = 1e-8
"""ε of (ADAM.3): keeps an entry that has seen no slope from dividing by zero."""


@dataclass(frozen=True)
class Adam(Stochastic):
    """Adam with moments per entry that change only when their row is visited.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`; a step is about how far an entry
        moves per visit.
    beta1, beta2 : float
        How much of the running means of slopes and of their squares is kept at a visit, 0 … 0.9999.
    """

    step: float = 0.005
    beta1: float = 0.0
    beta2: float = 0.9

    name: ClassVar[str] = "adam"
    parallel: ClassVar[bool] = False
    defaults: ClassVar[Defaults] = Defaults(alpha=0.02, alpha_bias=12.0, max_iter=40)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            check_number(name, getattr(self, name), minimum=0.0, maximum=0.9999)

    def forget(self, state: State) -> None:
        """Set all moments to zero and all powers of β to one."""
        super().forget(state)
        for side in ("W", "H"):
            X = state[side]
            state[f"mean_{side}"], state[f"square_{side}"] = np.zeros_like(X), np.zeros_like(X)
            state[f"powers_{side}"] = np.ones((len(X), 2), X.dtype)

    def epoch(self, state: State) -> None:
        """Visit every rating once, in a new random order."""
        step = self.open_epoch(state)
        number = state["W"].dtype.type
        squares = adam_epoch(
            order_of(state),
            (state["W"], state["mean_W"], state["square_W"], state["powers_W"]),
            (state["H"], state["mean_H"], state["square_H"], state["powers_H"]),
            state["penalty_W"],
            state["penalty_H"],
            state["biases"],
            (step, number(self.beta1), number(self.beta2), number(EPSILON)),
        )
        self.close_epoch(state, squares)


@kernel
def adam_epoch(
    visits: Visits,
    users_side: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    items_side: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    penalty_W: Penalty,
    penalty_H: Penalty,
    biases: bool,
    numbers: tuple[Any, Any, Any, Any],
) -> float:
    """Visit the ratings one by one, update both sides in place; return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    users_side, items_side : tuple of ndarray
        Factors, first and second moments, each of shape (n_rows, K), and β₁^n and β₂^n, shape (n_rows, 2).
    penalty_W, penalty_H : Penalty
    biases : bool
        Whether the last two columns are bias columns, laid out as in `nmf_scratch.factors`.
    numbers : tuple of float
        η of this epoch, β₁, β₂ and ε, in the dtype of the factors.
    """
    tiles, starts, users, items, values, weights = visits
    W, mean_W, square_W, powers_W = users_side
    H, mean_H, square_H, powers_H = items_side
    slope_w, slope_h = np.zeros_like(W[0]), np.zeros_like(H[0])
    squares = 0.0
    for tile in tiles:
        for p in range(starts[tile], starts[tile + 1]):
            u, i = users[p], items[p]
            shares = share(penalty_W, u), share(penalty_H, i)
            error = slopes(values[p], weights[p], W[u], H[i], *shares, biases, slope_w, slope_h)
            squares += weights[p] * error * error
            move(W[u], slope_w, mean_W[u], square_W[u], powers_W[u], numbers)
            move(H[i], slope_h, mean_H[i], square_H[i], powers_H[i], numbers)
    return squares


@kernel
def move(
    w: NDArray[Any],
    slope: NDArray[Any],
    mean: NDArray[Any],
    square: NDArray[Any],
    powers: NDArray[Any],
    numbers: tuple[Any, Any, Any, Any],
) -> None:
    """Take a slope into the moments of one row and move the row; a frozen column has slope zero and stays.

    Parameters
    ----------
    w, slope, mean, square : ndarray, shape (K,)
    powers : ndarray, shape (2,)
        β₁^n and β₂^n of the visits so far.
    numbers : tuple of float
        η, β₁, β₂ and ε.
    """
    step, beta1, beta2, epsilon = numbers
    zero = step - step
    one = zero + 1  # both in the dtype of the factors
    powers[0] *= beta1
    powers[1] *= beta2
    unbias_mean, unbias_square = one / (one - powers[0]), one / (one - powers[1])
    for f in range(len(w)):
        mean[f] = beta1 * mean[f] + (one - beta1) * slope[f]  # (ADAM.1)
        square[f] = beta2 * square[f] + (one - beta2) * slope[f] * slope[f]  # (ADAM.2)
        size = np.sqrt(square[f] * unbias_square) + epsilon
        w[f] = max(w[f] - step * mean[f] * unbias_mean / size, zero)  # (ADAM.3)
