"""From an estimator's parameters and the ratings to factors: what `NMF.fit` does.

Parameters become a `Plan` ("auto" resolved). Ratings are divided by their mean, so that penalties and step sizes mean
the same on a scale of 1–5 and of 0–100; `NMF.fit` scales the factors back. A part is held out where training stops
by it, factors are drawn or taken from the caller, the loop of `nmf_scratch.training` runs, and rows that are not yet
where their ratings want them are solved exactly, equation (FOLD.1).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_choice, check_number
from nmf_scratch._progress import EpochProgress
from nmf_scratch._random import SPLIT, STARTS, generator, random_key
from nmf_scratch.checkpoint import Checkpoint, Keeper
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.fitted.fold_in import rows_below, with_best_rows
from nmf_scratch.fitted.state import UNKNOWN_POLICIES
from nmf_scratch.history import TrainingHistory
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.initialisers import INITIALISERS, own_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS, Solver, check_suited
from nmf_scratch.solvers.base import missing_of
from nmf_scratch.training import FitResult, Monitor, Stopping, ended, fit_factors

TASKS: dict[str, dict[str, Any]] = {
    "rating": {
        "solver": "adagrad", "biases": True, "unobserved_weight": 0.0, "target": None, "confidence": None,
    },
    "ranking": {
        "solver": "als", "biases": False, "unobserved_weight": 0.2, "target": 1.0, "alpha": 0.3, "max_iter": 16,
    },
}  # fmt: skip
"""What "auto" stands for by what the model is for; where a task says nothing, the solver's defaults hold."""

MAX_COMPONENTS = 10_000
"""More factors than this is a mistake: a slip of the keyboard would fill the memory."""


class Plan(NamedTuple):
    """What the parameters say, "auto" resolved; `parameters` is an estimator in which the task's "auto" is, too."""

    parameters: Any
    solver: Solver
    objective: Objective
    stopping: Stopping
    alpha: float | tuple[float, float]
    alpha_bias: float | tuple[float, float]


def resolve(model: Any) -> Plan:
    """Validate the parameters of an `NMF`, which stays as it is, and resolve "auto".

    Raises
    ------
    InputError
        If a parameter cannot be used, or the solver cannot minimise the loss.
    """
    check_choice("task", model.task, TASKS)
    chosen = model.get_params()
    auto = {name: value for name, value in TASKS[model.task].items() if _is_auto(chosen[name])}
    model = model.clone(**auto)
    check_number("n_components", model.n_components, minimum=1, maximum=MAX_COMPONENTS, integer=True)
    check_number("validation_fraction", model.validation_fraction, minimum=0.0, maximum=0.5, exclusive=True)
    check_number("exact_below", model.exact_below, minimum=0, integer=True)
    check_number("n_starts", model.n_starts, minimum=1, integer=True)
    if model.early_stopping and model.unobserved_weight:
        raise InputError(
            "early_stopping goes by errors of held-out ratings, which say nothing of lists where unrated cells count: "
            "set max_iter instead"
        )
    if model.n_starts > 1 and not isinstance(model.init, str):
        raise InputError(f"n_starts={model.n_starts} needs starts that differ, and init gives one: name an init")
    check_choice("unknown", model.unknown, UNKNOWN_POLICIES)
    check_choice("dtype", model.dtype, ("float32", "float64"))
    if isinstance(model.init, str):
        check_choice("init", model.init, INITIALISERS)
    check_number("loss", model.loss, minimum=0.0, maximum=2.0)
    solver = _solver(model)
    alpha, alpha_bias, max_iter = (
        getattr(solver.defaults if _is_auto(getattr(model, name)) else model, name)
        for name in ("alpha", "alpha_bias", "max_iter")
    )
    stopping = Stopping(max_iter, model.tol, model.patience, model.kkt_tol, model.max_seconds)
    objective = Objective.of(model, alpha, alpha_bias)
    check_suited(solver, objective)
    return Plan(model, solver, objective, stopping, alpha, alpha_bias)


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def learn(plan: Plan, ratings: Ratings, unit: float, *, key: int, checkpoint: Checkpoint | None = None) -> FitResult:
    """Fit factors to ratings.

    Parameters
    ----------
    plan : Plan
        What `resolve` made of the parameters.
    ratings : Ratings
        In the caller's unit, with targets for values where the plan has them.
    unit : float
        What they are divided by.
    key : int
        Of all random draws.
    checkpoint : Checkpoint, optional
        Where the run is kept.

    Returns
    -------
    FitResult
        Factors for ratings scaled to a mean of 1.
    """
    model, solver, objective, stopping, *_ = plan
    scaled = ratings.scaled(unit)
    epochs = model.n_starts * stopping.max_iter
    bar = EpochProgress(epochs, f"{solver.name}, k = {model.n_components}") if model.verbose else None
    results: list[FitResult] = []
    with bar or nullcontext():
        monitor = Monitor(unit=unit, callbacks=(*model.callbacks, *([bar] if bar else [])))
        for number in range(model.n_starts):
            own = key if number == 0 else random_key(generator(key, STARTS, number))
            results.append(_from_one_start(plan, scaled, monitor, own, checkpoint))
            if results[-1].stop_reason in ("interrupted", "diverged"):
                break
    result = results[0] if len(results) == 1 else _joined(results, scaled, objective, unit)
    # Rows that were stopped early are not meant to be minima, and other losses have none in closed form.
    if model.early_stopping or objective.loss != 2 or result.stop_reason == "diverged":
        return result
    return _ended(result, solver, scaled, objective, unit, model)


def _from_one_start(
    plan: Plan, scaled: Ratings, monitor: Monitor, key: int, checkpoint: Checkpoint | None
) -> FitResult:
    model = plan.parameters
    train, valid = _hold_out(scaled, model.validation_fraction, key) if model.early_stopping else (scaled, None)
    return fit_factors(
        train, _start(model, train, monitor.unit, key), plan.solver, plan.objective, plan.stopping,
        valid=valid, monitor=monitor, key=key, n_threads=model.n_threads,
        observer=None if checkpoint is None else Keeper(checkpoint),
    )  # fmt: skip


def _joined(results: list[FitResult], ratings: Ratings, objective: Objective, unit: float) -> FitResult:
    """Put factors side by side whose predictions are the means of those of several fits, and biases too.

    One non-negative model again, n times as wide: each side is divided by √n. Its history is that of the first fit, and
    its last record describes it.
    """
    parts, first = [result.factors for result in results], results[0]
    k, root = first.factors.n_components, np.sqrt(len(parts))

    def side(matrices: list[NDArray[Any]]) -> NDArray[Any]:
        latent = np.hstack([X[:, :k] for X in matrices]) / matrices[0].dtype.type(root)
        return np.ascontiguousarray(np.hstack([latent, np.mean([X[:, k:] for X in matrices], axis=0)]))

    joined = Factors(side([f.W for f in parts]), side([f.H for f in parts]), first.factors.biases)
    said = f"{len(parts)} fits from different starts were joined, {len(parts) * k} factors"
    *before, last = first.history.records
    seconds = sum(result.history.records[-1].seconds for result in results)
    history = TrainingHistory([*before, last._replace(seconds=seconds)], first.history.events)
    whole = FitResult(joined, history, results[-1].stop_reason)
    return ended(whole, lambda factors: factors, ratings, objective, unit, said)


def _solver(model: Any) -> Solver:
    solver: Solver = model.solver
    if isinstance(model.solver, str):
        check_choice("solver", model.solver, SOLVERS)
        solver = SOLVERS[model.solver]()
    if isinstance(solver, type) or (missing := missing_of(solver)):
        why = "a class: make an object of it" if isinstance(solver, type) else f"without {', '.join(missing)}"
        raise InputError(f"solver must be a name or an object that follows solvers.Solver, got {solver!r}, {why}")
    return solver


def _start(model: Any, train: Ratings, unit: float, key: int) -> Factors:
    """Return the first factors: drawn or computed by name, or the caller's own."""
    if isinstance(model.init, str):
        draw = INITIALISERS[model.init]
        return draw(train, model.n_components, biases=model.biases, dtype=model.dtype, key=key)
    given = own_start(model.init, train, model.n_components, biases=model.biases, dtype=model.dtype)
    return given.in_unit(1 / unit)


def _hold_out(ratings: Ratings, fraction: float, key: int) -> tuple[Ratings, Ratings]:
    n_valid = round(fraction * len(ratings))
    if not 0 < n_valid < len(ratings):
        raise InputError(f"early_stopping needs more than {len(ratings)} ratings to hold out a validation part")
    order = generator(key, SPLIT).permutation(len(ratings))
    return ratings.take(order[n_valid:]), ratings.take(order[:n_valid])


def _ended(
    result: FitResult, solver: Solver, ratings: Ratings, objective: Objective, unit: float, model: Any
) -> FitResult:
    """Solve rows exactly at the end: those that a stochastic solver hardly visits, or every user's.

    The latter cannot raise the objective of a solver that descends, and makes a user's row what their ratings say,
    as `fold_in` would have it.
    """
    if solver.stochastic:
        users, items = rows_below(ratings, model.exact_below)
    else:
        users, items = np.flatnonzero(ratings.user_counts), np.zeros(0, np.intp)
    if not len(users) + len(items):
        return result
    said = f"the rows of {len(items):,} items and {len(users):,} users were solved exactly"

    def step(factors: Factors) -> Factors:
        return with_best_rows(factors, ratings, objective, (users, items), n_threads=model.n_threads)

    return ended(result, step, ratings, objective, unit, said)
