"""The registry of solvers: one file each, all solving the problem of `nmf_scratch.objective`."""

from __future__ import annotations

from nmf_scratch.solvers.base import Defaults, Solver, State
from nmf_scratch.solvers.multiplicative import MultiplicativeUpdates
from nmf_scratch.solvers.sgd import SGD

SOLVERS: dict[str, type[Solver]] = {solver.name: solver for solver in (MultiplicativeUpdates, SGD)}
"""Every solver by its name, in reading order."""

__all__ = ["SGD", "SOLVERS", "Defaults", "MultiplicativeUpdates", "Solver", "State"]
