"""The registry of solvers: one file each, all solving the problem of `nmf_scratch.problem.objective`."""

from __future__ import annotations

from typing import Any

from nmf_scratch._check import InputError
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers.adagrad import AdaGrad
from nmf_scratch.solvers.adam import Adam
from nmf_scratch.solvers.als import AlternatingLeastSquares
from nmf_scratch.solvers.base import Defaults, Solver, State
from nmf_scratch.solvers.block_sgd import BlockSGD
from nmf_scratch.solvers.ccd import CyclicCoordinateDescent
from nmf_scratch.solvers.coordinate_descent import CoordinateDescent
from nmf_scratch.solvers.exponentiated_gradient import ExponentiatedGradient
from nmf_scratch.solvers.multiplicative import MultiplicativeUpdates
from nmf_scratch.solvers.projected_gradient import ProjectedGradient
from nmf_scratch.solvers.sgd import SGD

SOLVERS: dict[str, type[Solver]] = {
    solver.name: solver
    for solver in (
        MultiplicativeUpdates,
        CoordinateDescent,
        CyclicCoordinateDescent,
        AlternatingLeastSquares,
        ProjectedGradient,
        SGD,
        AdaGrad,
        Adam,
        ExponentiatedGradient,
        BlockSGD,
    )
}
"""Every solver by its name, in reading order."""


class Unsuited(InputError):
    """A solver was asked for what it declares that it cannot do."""


def check_suited(solver: Any, objective: Objective) -> None:
    """Refuse a solver that cannot minimise an objective, and name those that can.

    Raises
    ------
    Unsuited
    """
    if what := _beyond(solver, objective):
        able = [name for name, other in SOLVERS.items() if not _beyond(other, objective)]
        raise Unsuited(f"solver {solver.name!r} cannot {what}; these can: {', '.join(able) or 'none'}")


def _beyond(solver: Any, objective: Objective) -> str:
    """Say what an objective asks for that the solver cannot do; nothing if it can do it all."""
    if not solver.losses[0] <= objective.loss <= solver.losses[1]:
        return f"minimise loss={objective.loss}"
    cells = objective.unobserved_weight and not solver.unobserved
    return f"let unrated cells count (unobserved_weight={objective.unobserved_weight})" if cells else ""


__all__ = [
    "SGD",
    "SOLVERS",
    "AdaGrad",
    "Adam",
    "AlternatingLeastSquares",
    "BlockSGD",
    "CoordinateDescent",
    "CyclicCoordinateDescent",
    "Defaults",
    "ExponentiatedGradient",
    "MultiplicativeUpdates",
    "ProjectedGradient",
    "Solver",
    "State",
    "Unsuited",
    "check_suited",
]
