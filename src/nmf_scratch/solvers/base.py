"""What a solver is: a frozen set of hyper-parameters that knows how to make one pass over the observed ratings.

A solver contributes nothing else. The loop, the clock, stopping rules and history are written once, in `training`;
the problem and its optimality measure once, in `objective`. All that changes during a fit lives in the *state*, a flat
dict of arrays and numbers that `start` returns and `epoch` updates in place: one solver object can serve many folds at
once, and saving the state is saving the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from nmf_scratch.data.ratings import Compressed, Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.objective import Objective

State = dict[str, Any]


@dataclass(frozen=True)
class Defaults:
    """What "auto" stands for; chosen on inner validation splits, never on a test fold.

    Attributes
    ----------
    alpha, alpha_bias : float
        Penalty strengths of the latent and the bias columns, for ratings scaled to a mean of 1.
    max_iter : int
        Number of epochs.
    """

    alpha: float
    alpha_bias: float
    max_iter: int


class Solver(Protocol):
    """The protocol that every entry of `SOLVERS` follows.

    Attributes
    ----------
    name : str
        Key in the registry.
    monotone : bool
        Whether each epoch is guaranteed not to increase the objective.
    stochastic : bool
        Whether the updates follow a random order (then a step size exists, and `state["step_scale"]` scales it).
    parallel : bool
        Whether an epoch uses several threads (its result never depends on how many).
    losses : tuple of float
        Smallest and largest β of the β-divergences it can minimise; (2, 2) is squared error only.
    defaults : Defaults
        What "auto" stands for.
    """

    name: ClassVar[str]
    monotone: ClassVar[bool]
    stochastic: ClassVar[bool]
    parallel: ClassVar[bool]
    losses: ClassVar[tuple[float, float]]
    defaults: ClassVar[Defaults]

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare the state of a run that will update `factors` in place."""
        ...

    def epoch(self, state: State) -> None:
        """Make one pass over the observed ratings."""
        ...


def row_state(train: Ratings, factors: Factors, objective: Objective) -> State:
    """Return what solvers that go row by row start from: factors, both views, both penalties, both layouts."""
    penalty_W, penalty_H = objective.penalties(train, factors)
    return {
        "W": factors.W,
        "H": factors.H,
        "by_user": in_dtype_of(factors, train.by_user),
        "by_item": in_dtype_of(factors, train.by_item),
        "penalty_W": penalty_W,
        "penalty_H": penalty_H,
        "columns": factors.columns,
    }


def in_dtype_of(factors: Factors, view: Compressed) -> Compressed:
    """Return the view with values in the dtype of the factors, so that a kernel computes in one type only."""
    values = view.values.astype(factors.W.dtype, copy=False)
    values.flags.writeable = False  # one array type, hence one compiled specialisation
    return view._replace(values=values)
