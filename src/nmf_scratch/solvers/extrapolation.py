"""Extrapolation: go on a little in the direction of the last epoch, for any deterministic solver (Ang & Gillis 2019).

Alternating solvers creep along curved valleys in many similar steps. Doing part of the last step again, before the next
epoch, saves many of them. With x_t the accepted factors and y_t the extrapolated ones,

    x_{t+1} = epoch(y_t)                                                                            (EX.1)
    y_t     = max(x_t / 2, x_t + ζ_t (x_t − x_{t−1}))                                            (EX.2)

If x_{t+1} has a higher objective than x_t it is thrown away: the epoch is done again from x_t itself, which a monotone
solver cannot fail, and ζ_t is divided by 1.5; otherwise it grows by 1.05 up to a cap. The cap itself grows by
1.01, and falls back to the last ζ that worked. So accepted iterates never increase the objective, whatever ζ does.

The floor x_t / 2 in (EX.2) keeps entries positive that multiplicative updates would otherwise lock at zero. Cost: one
look at the objective per epoch, and a second epoch where the first was thrown away. The choice of ζ is a heuristic of
the paper; there is no theory for its speed.

Reference: Ang & Gillis, *Accelerating nonnegative matrix factorization algorithms using extrapolation*, Neural
Computation 31(2), 2019, algorithm 2; here per epoch instead of per half-step, so that it wraps any solver.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers.base import State

FIRST, GROWTH, CAP_GROWTH, SHRINK = 0.5, 1.05, 1.01, 1.5
"""ζ at the start, its growth, that of the cap, and what it is divided by: the values of the paper."""


def prepare_extrapolation(state: State, train: Ratings, factors: Factors, objective: Objective) -> State:
    """Add to a solver's state what `extrapolated_epoch` needs."""
    return state | {
        "measure": (objective, train, factors),
        "before": (factors.W.copy(), factors.H.copy()),
        "objective": objective.value(train, factors),
        "momentum": FIRST,
        "momentum_cap": 1.0,
    }


def extrapolated_epoch(plain_epoch: Callable[[State], None], state: State) -> None:
    """Run one epoch from the extrapolated point; if that does not pay, run it from where we were."""
    W, H = state["W"], state["H"]
    here = W.copy(), H.copy()
    for X, now, before in zip((W, H), here, state["before"], strict=True):
        X[:] = np.maximum(now / 2, now + X.dtype.type(state["momentum"]) * (now - before))  # (EX.2)
    plain_epoch(state)  # (EX.1)
    value = _value(state)
    if value <= state["objective"]:
        state["momentum_cap"] = min(1.0, CAP_GROWTH * state["momentum_cap"])
        state["momentum"] = min(state["momentum_cap"], GROWTH * state["momentum"])
    else:
        W[:], H[:] = here
        plain_epoch(state)
        value = _value(state)
        state["momentum_cap"] = state["momentum"] / GROWTH
        state["momentum"] /= SHRINK
    state["before"], state["objective"] = here, value


def _value(state: State) -> float:
    objective, train, factors = state["measure"]
    return float(objective.value(train, factors))
