"""Projected stochastic gradient descent (Robbins & Monro 1951; for ratings: Funk 2006, Koren et al. 2009).

Idea: visit the ratings in random order; each one alone gives a noisy but nearly free estimate of the gradient, that
touches two rows only. Step against it, and project back onto the non-negative numbers. For rating r_ui,

    e_ui = r_ui − w_u · h_i                                                                         (SGD.1)
    w_uf ← max(0, w_uf + η (e_ui h_if − λ_uf/n_u ((1−ρ) (w_uf − m_f) + ρ)))                         (SGD.2)
    h_if ← max(0, h_if + η (e_ui w_uf − λ_if/n_i ((1−ρ) (h_if − m_f) + ρ)))    with the old w_uf    (SGD.3)

A row of n_u ratings is visited n_u times in an epoch, so each visit carries 1/n_u of its penalty: λ_uf/n_u is `alpha`
for a latent column with `weighting="count"`, and alpha_bias/n_u for a bias. The step η follows a schedule over the
epochs t = 0 … T−1:

    constant:      η_t = η_0
    inverse-time:  η_t = η_0 / (1 + decay t)
    cosine:        η_t = η_0 ½ (1 + cos(π t / T))                                                   (SGD.4)

A decreasing step averages the noise out at the end; the cosine spends most epochs at a large step and still ends near
zero. Cost: O(n_ratings · k) per epoch with a small constant: the fastest way to a good test error. Not monotone.
Projection makes exact zeros, which a later gradient can revive (a multiplicative update cannot).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_choice, check_number
from nmf_scratch._jit import kernel
from nmf_scratch._random import SHUFFLE, generator
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State

SCHEDULES = ("constant", "inverse-time", "cosine")


@dataclass(frozen=True)
class SGD:
    """Projected stochastic gradient descent.

    Parameters
    ----------
    step : float
        First step size η_0, for ratings scaled to a mean of 1.
    schedule : {"cosine", "inverse-time", "constant"}
        How the step decreases over the epochs.
    decay : float
        Rate of the inverse-time schedule, per epoch.
    """

    step: float = 0.15
    schedule: str = "cosine"
    decay: float = 0.1

    name: ClassVar[str] = "sgd"
    monotone: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    parallel: ClassVar[bool] = False
    losses: ClassVar[tuple[float, float]] = (2.0, 2.0)
    defaults: ClassVar[Defaults] = Defaults(alpha=0.025, alpha_bias=8.0, max_iter=60)

    def __post_init__(self) -> None:
        check_number("step", self.step, minimum=0.0, exclusive=True)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_number("decay", self.decay, minimum=0.0)

    def step_size(self, epoch: int, max_iter: int) -> float:
        """Return η of an epoch 0 … max_iter − 1, equation (SGD.4)."""
        if self.schedule == "cosine":
            return self.step * 0.5 * (1 + math.cos(math.pi * epoch / max_iter))  # (SGD.4)
        if self.schedule == "inverse-time":
            return self.step / (1 + self.decay * epoch)
        return self.step

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare triples in the dtype of the factors, and the penalties."""
        penalty_W, penalty_H = objective.penalties(train, factors)
        return {
            "W": factors.W,
            "H": factors.H,
            "users": train.users,
            "items": train.items,
            "values": train.values.astype(factors.W.dtype),
            "penalty_W": penalty_W,
            "penalty_H": penalty_H,
            "biases": factors.biases,
            "key": key,
            "epoch": 0,
            "max_iter": max_iter,
            "step_scale": 1.0,
        }

    def epoch(self, state: State) -> None:
        """Visit every rating once, in a new random order."""
        order = generator(state["key"], SHUFFLE, state["epoch"]).permutation(len(state["values"]))
        step = state["step_scale"] * self.step_size(state["epoch"], state["max_iter"])
        sgd_epoch(
            order,
            (state["users"], state["items"], state["values"]),
            state["W"],
            state["H"],
            state["penalty_W"],
            state["penalty_H"],
            state["biases"],
            state["W"].dtype.type(step),
        )
        state["epoch"] += 1


@kernel
def sgd_epoch(
    order: NDArray[np.int64],
    triples: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    W: NDArray[Any],
    H: NDArray[Any],
    penalty_W: Penalty,
    penalty_H: Penalty,
    biases: bool,
    step: float,
) -> None:
    """Visit the ratings in the given order and update W and H in place.

    Parameters
    ----------
    order : ndarray of int64, shape (n_ratings,)
        Drawn outside: the kernel is a function of its arguments.
    triples : (users, items, values)
        The ratings, each array of shape (n_ratings,).
    W, H : ndarray, shapes (n_users, K) and (n_items, K)
    penalty_W, penalty_H : Penalty
    biases : bool
        Whether the last two columns are bias columns, laid out as in `nmf_scratch.factors`.
    step : float
        η of this epoch, in the dtype of the factors.
    """
    users, items, values = triples
    k = W.shape[1] - 2 * biases
    zero = step - step  # zero in the dtype of the factors: a literal would widen float32 to float64
    for p in order:
        u, i = users[p], items[p]
        w, h = W[u], H[i]
        error = values[p]
        for f in range(k):
            error -= w[f] * h[f]  # (SGD.1)
        if biases:
            error -= w[k] + h[k + 1]
        n_u, n_i = penalty_W.counts[u], penalty_H.counts[i]
        ridge_w, lasso_w = (
            penalty_W.ridge_rating + penalty_W.ridge_row / n_u,
            penalty_W.lasso_rating + penalty_W.lasso_row / n_u,
        )
        ridge_h, lasso_h = (
            penalty_H.ridge_rating + penalty_H.ridge_row / n_i,
            penalty_H.lasso_rating + penalty_H.lasso_row / n_i,
        )
        for f in range(k):
            w_f, h_f = w[f], h[f]
            w[f] = max(zero, w_f + step * (error * h_f - ridge_w * w_f - lasso_w))  # (SGD.2)
            h[f] = max(zero, h_f + step * (error * w_f - ridge_h * h_f - lasso_h))  # (SGD.3)
        if biases:  # the same two lines where the other side is frozen to one
            b, c = w[k], h[k + 1]
            w[k] = max(zero, b + step * (error - penalty_W.bias_ridge / n_u * (b - penalty_W.bias_level)))
            h[k + 1] = max(zero, c + step * (error - penalty_H.bias_ridge / n_i * (c - penalty_H.bias_level)))
