"""What a solver is: a frozen set of hyper-parameters that knows how to make one pass over the observed ratings.

A solver contributes nothing else. The loop, the clock, stopping rules and history are written once, in `training`;
the problem and its optimality measure once, in `objective`. All that changes during a fit lives in the *state*, a flat
dict of arrays and numbers that `start` returns and `epoch` updates in place: one solver object can serve many folds at
once, and saving the state is saving the run.

What a checkpoint saves of it (`nmf_scratch.checkpoint`) are W, H and the entries that the solver names in `memory`:
all that epochs change and read again. What `start` computes from the data is computed again. A test resumes every
solver after every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective

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
        Whether the updates follow a random order (then it should follow `Rewinds` too).
    parallel : bool
        Whether an epoch uses several threads (its result never depends on how many).
    losses : tuple of float
        Smallest and largest β of the β-divergences it can minimise; (2, 2) is squared error only.
    unobserved : bool
        Whether it can let cells that nobody rated count.
    defaults : Defaults
        What "auto" stands for.
    memory : tuple of str
        Entries of the state that one epoch leaves for the next, besides W and H: numbers, arrays, tuples of arrays.
    """

    name: ClassVar[str]
    monotone: ClassVar[bool]
    stochastic: ClassVar[bool]
    parallel: ClassVar[bool]
    losses: ClassVar[tuple[float, float]]
    unobserved: ClassVar[bool]
    defaults: ClassVar[Defaults]
    memory: ClassVar[tuple[str, ...]]

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare the state of a run that will update `factors` in place."""
        ...

    def epoch(self, state: State) -> None:
        """Make one pass over the observed ratings."""
        ...


@runtime_checkable
class Rewinds(Protocol):
    """A solver with a step size: where it diverges, it recovers by going back with half of it."""

    def rewind(self, state: State, epoch: int) -> None:
        """Go on with half the step after an earlier epoch, whose W and H are back."""
        ...


def missing_of(solver: Any) -> list[str]:
    """Return what an object lacks to follow `Solver`."""
    declared = ("name", "monotone", "stochastic", "parallel", "losses", "unobserved", "defaults", "memory")
    return [name for name in (*declared, "start", "epoch") if not hasattr(solver, name)]
