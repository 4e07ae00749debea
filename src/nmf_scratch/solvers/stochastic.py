r"""What the stochastic solvers share: step sizes, the frame of an epoch, and the gradient of one rating.

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

from nmf_scratch._check import check_choice, check_number
from nmf_scratch._random import SHUFFLE, generator
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers.base import State
from nmf_scratch.solvers.grid import (
    Grid,
    Visits,
    copy_in,
    copy_out,
    in_pieces,
    into_grid,
    lay_out,
    shuffle_tiles,
    visits,
)

SCHEDULES = ("bold-driver", "constant", "cosine", "inverse-time")


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
    unobserved: ClassVar[bool] = False
    memory: ClassVar[tuple[str, ...]] = ("epoch", "next_epoch", "step_scale", "bold", "squares")

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
        """Prepare the ratings in grid order, and the layout that epochs work on."""
        state = {
            "grid": self.grid(train, factors, generator(key, SHUFFLE, max_iter)),
            "biases": factors.biases,
            "key": key,
            "epoch": 0,
            "next_epoch": -1,  # so that the first epoch starts with an empty memory
            "max_iter": max_iter,
            "step_scale": 1.0,
            "bold": 1.0,
        }
        return lay_out(state, factors, objective.penalties(train, factors))

    def grid(self, train: Ratings, factors: Factors, rng: np.random.Generator) -> Grid:
        """Sort the ratings for serial visits: one block."""
        grid = into_grid(train, factors, 1)
        shuffle_tiles(grid, rng)
        return in_pieces(grid)

    def epoch(self, state: State) -> None:
        """Visit every rating once, in a new random order."""
        step = self.open_epoch(state)
        copy_in(state)
        squares = self.sweep(state, step)
        copy_out(state)
        self.close_epoch(state, squares)

    def sweep(self, state: State, step: Any) -> float:
        """Visit every rating, update both sides of the layout, and return the sum of the squared residuals."""
        raise NotImplementedError

    def rewind(self, state: State, epoch: int) -> None:
        """Go on after an earlier epoch with half the step."""
        state["epoch"] = epoch
        state["step_scale"] /= 2

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
