r"""What the stochastic solvers share: step sizes, the state they start from, and the slopes of one rating.

Each goes through the ratings in a random order, that of `nmf_scratch.solvers.grid`, and moves two rows per visit. The
step η follows a schedule: with T = `max_iter` and epochs t = 0 … T−1,

    constant:      η_t = η_0
    inverse-time:  η_t = η_0 / (1 + decay t)
    cosine:        η_t = η_0 ½ (1 + cos(π t / T))                                                   (SGD.5)
    bold-driver:   η_t = η_(t−1) · (growth if the squared errors of the last epoch fell, else ½)    (SGD.6)

A decreasing step averages the noise out at the end; the cosine spends most epochs at a large step and still ends near
zero. The bold driver (Battiti 1989; for ratings Gemulla et al. 2011) looks at Σ e_ui² of an epoch, each e_ui taken when
its rating was visited: the kernel adds it up on the way, at no cost.

What a solver remembers besides W and H (momentum, accumulators, the last sum) is void once training has gone back to
an earlier epoch. `open_epoch` notices, and lets the solver `forget`.
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
from nmf_scratch.solvers.base import State
from nmf_scratch.solvers.grid import Grid, Visits, into_grid, shuffle_tiles, visits

SCHEDULES = ("bold-driver", "constant", "cosine", "inverse-time")

Share = tuple[Any, Any, Any, Any]


@dataclass(frozen=True)
class Stochastic:
    """The common part of the stochastic solvers.

    Parameters
    ----------
    step : float
        First step size η_0, for ratings scaled to a mean of 1.
    schedule : {"cosine", "inverse-time", "bold-driver", "constant"}
        How the step changes over the epochs.
    decay : float
        Rate of the inverse-time schedule, per epoch.
    growth : float
        What the bold driver multiplies the step by after a good epoch, 1 … 2.
    """

    step: float
    schedule: str = "cosine"
    decay: float = 0.1
    growth: float = 1.05

    monotone: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    losses: ClassVar[tuple[float, float]] = (2.0, 2.0)

    def __post_init__(self) -> None:
        check_number("step", self.step, minimum=0.0, exclusive=True)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_number("decay", self.decay, minimum=0.0)
        check_number("growth", self.growth, minimum=1.0, maximum=2.0)

    def step_size(self, epoch: int, max_iter: int) -> float:
        """Return η of an epoch 0 … max_iter − 1, equation (SGD.5); for the bold driver the first one."""
        if self.schedule == "cosine":
            return self.step * 0.5 * (1 + math.cos(math.pi * epoch / max_iter))  # (SGD.5)
        if self.schedule == "inverse-time":
            return self.step / (1 + self.decay * epoch)
        return self.step

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare the ratings in grid order, and the penalties."""
        penalty_W, penalty_H = objective.penalties(train, factors)
        grid = self.grid(train, factors, generator(key, SHUFFLE, max_iter))
        return {
            "W": factors.W,
            "H": factors.H,
            "grid": grid,
            "penalty_W": penalty_W,
            "penalty_H": penalty_H,
            "biases": factors.biases,
            "key": key,
            "epoch": 0,
            "next_epoch": -1,  # so that the first epoch starts with an empty memory
            "max_iter": max_iter,
            "step_scale": 1.0,
            "bold": 1.0,
        }

    def grid(self, train: Ratings, factors: Factors, rng: np.random.Generator) -> Grid:
        """Sort the ratings for serial visits: one block."""
        grid = into_grid(train, factors, 1)
        if len(grid.starts) > 2:  # a single tile is shuffled anew in every epoch
            shuffle_tiles(grid, rng)
        return grid

    def forget(self, state: State) -> None:
        """Start the memory of the solver afresh: at first, and after training went back."""
        state["squares"] = np.inf

    def open_epoch(self, state: State) -> Any:
        """Return η of the epoch to come, in the dtype of the factors."""
        if state["epoch"] != state["next_epoch"]:
            self.forget(state)
        step = self.step_size(state["epoch"], state["max_iter"])
        return state["W"].dtype.type(state["step_scale"] * state["bold"] * step)

    def close_epoch(self, state: State, squares: float) -> None:
        """Count the epoch, and let the bold driver look at its sum of squared errors."""
        if self.schedule == "bold-driver":
            state["bold"] *= self.growth if squares < state["squares"] else 0.5  # (SGD.6)
        state["squares"] = float(squares)
        state["epoch"] = state["next_epoch"] = state["epoch"] + 1


def order_of(state: State) -> Visits:
    """Return the visits of the epoch to come, a function of the key and the epoch."""
    return visits(state["grid"], generator(state["key"], SHUFFLE, state["epoch"]))


@kernel
def share(penalty: Penalty, row: int) -> Share:
    """Return what one visit carries of the penalty of a row: 1/n of (ridge, lasso, bias ridge, pull to its level)."""
    n = penalty.counts[row]
    bias = penalty.bias_ridge / n
    return (
        penalty.ridge[row] / n,
        penalty.lasso[row] / n,
        bias,
        bias * penalty.bias_level,
    )


@kernel
def slopes(
    rating: Any,
    weight: Any,
    w: NDArray[Any],
    h: NDArray[Any],
    share_w: Share,
    share_h: Share,
    biases: bool,
    g_w: NDArray[Any],
    g_h: NDArray[Any],
) -> Any:
    """Write the slope of one rating's term along both rows; return its residual.

    Solvers that do more with a slope than subtract it start from here; `sgd` has the same lines fused with its step.

    Parameters
    ----------
    rating, weight : float
        r_ui, and how often it counts, in the dtype of the factors, as all numbers here.
    w, h : ndarray, shape (K,)
        The user's and the item's row.
    share_w, share_h : tuple of float
        What a visit carries of the penalties, see `share`.
    biases : bool
        Whether the last two columns are bias columns.
    g_w, g_h : ndarray, shape (K,)
        Overwritten with the slopes. Frozen columns are never written: they must come in as zero.
    """
    k = len(w) - 2 * biases
    ridge_w, lasso_w, bias_w, pull_w = share_w
    ridge_h, lasso_h, bias_h, pull_h = share_h
    error = rating
    for f in range(k):
        error -= w[f] * h[f]  # (SGD.1)
    if biases:
        error -= w[k] + h[k + 1]
    for f in range(k):
        g_w[f] = weight * (ridge_w * w[f] + lasso_w - error * h[f])  # (SGD.2)
        g_h[f] = weight * (ridge_h * h[f] + lasso_h - error * w[f])
    if biases:
        g_w[k] = weight * (bias_w * w[k] - pull_w - error)
        g_h[k + 1] = weight * (bias_h * h[k + 1] - pull_h - error)
    return error
