"""The registry of solvers: one file each, all solving the problem of `nmf_scratch.problem.objective`."""

from __future__ import annotations

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
]
