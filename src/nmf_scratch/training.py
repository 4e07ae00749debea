"""The training loop, written once for all solvers: epochs, clock, history, stopping rules, keep-best, repair.

Per epoch: let the solver make one pass (this is what the clock measures), then look at the factors with the measures of
`nmf_scratch.problem.objective` (this it does not measure, nor compilation, which happens on a tiny problem beforehand).

Why a run stopped is always said, in `stop_reason`:

    "max_iter"        all epochs were run
    "converged"       a monotone solver decreased the objective by less than `tol`, relatively
    "kkt"             the KKT residual (P.5) fell below `kkt_tol`
    "time"            the solver has used up its time
    "no_improvement"  the validation error has not improved for `patience` epochs; the best factors are returned
    "callback"        a callback asked to stop
    "interrupted"     Ctrl-C; what was learnt so far is returned
    "diverged"        the objective exploded and could not be recovered from; the last good factors are returned

A stochastic solver whose step is too large recovers: back to the last good factors, half the step, and an entry in
`history.events`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from nmf_scratch._check import check_number
from nmf_scratch._jit import threads
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.history import EpochRecord, Kept, TrainingHistory
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import Solver, State, check_suited
from nmf_scratch.solvers.base import Rewinds

DIVERGED_AT = 4.0
"""A run whose objective exceeds this many times its first value has diverged."""

PARALLEL_FIT = 50_000
"""Ratings below which a fit runs on one thread unless told otherwise: waking others costs more than they do."""

KKT_UP_TO = 10_000_000
"""Ratings beyond which the KKT residual is only computed on demand: it would take longer than many a fit."""

MAX_REPAIRS = 20
"""How often the step of a stochastic solver is halved before a run is given up: a factor of a million."""


Callback = Callable[[EpochRecord, Factors], bool | None]


@dataclass(frozen=True)
class Stopping:
    """When to stop.

    Attributes
    ----------
    max_iter : int
        Number of epochs.
    tol : float
        Least relative decrease of the objective per epoch, for monotone solvers; 0 runs all epochs.
    patience : int
        Epochs without a better validation error before stopping, when there is a validation part.
    kkt_tol : float
        KKT residual at which a fit is done; 0 does not look.
    max_seconds : float, optional
        Solver time after which no further epoch is started.
    """

    max_iter: int
    tol: float = 0.0
    patience: int = 5
    kkt_tol: float = 0.0
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        check_number("max_iter", self.max_iter, minimum=1, integer=True)
        check_number("tol", self.tol, minimum=0.0)
        check_number("patience", self.patience, minimum=1, integer=True)
        check_number("kkt_tol", self.kkt_tol, minimum=0.0)
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds, minimum=0.0, exclusive=True)


@dataclass(frozen=True)
class Monitor:
    """What is evaluated, and how often.

    Attributes
    ----------
    unit : float
        What a scaled rating of 1 is worth in the caller's unit: errors are reported in that.
    every : int
        Evaluate every so many epochs; the first and the last always.
    kkt : bool
        Whether to compute the KKT residual at each evaluation (some epochs' worth), or only at the ends, and with more
        than `KKT_UP_TO` ratings not at all.
    callbacks : sequence of callable
        Called with (record, factors) after each evaluation; a true result stops the run.
    """

    unit: float = 1.0
    every: int = 1
    kkt: bool = False
    callbacks: Sequence[Callback] = ()


class FitResult(NamedTuple):
    """Factors, how they came about, and why the run ended."""

    factors: Factors
    history: TrainingHistory
    stop_reason: str


class Observer(Protocol):
    """Who keeps a run while it goes on, and may know an earlier part of it (`nmf_scratch.checkpoint`)."""

    def begin(
        self, train: Ratings, valid: Ratings | None, factors: Factors, solver: Solver, key: int, settings: Sequence[Any]
    ) -> Kept | None:
        """Learn what the run depends on (settings are dataclasses), and return how far it had come, if it had begun."""
        ...

    def keep(self, run: Kept) -> None:
        """Take note of the run after an epoch; arrays of `state` change with the next one."""
        ...

    def finish(self, reason: str, events: list[str]) -> None:
        """Take note of why the run ended."""
        ...


def fit_factors(
    train: Ratings,
    factors: Factors,
    solver: Solver,
    objective: Objective,
    stopping: Stopping,
    *,
    valid: Ratings | None = None,
    monitor: Monitor | None = None,
    key: int = 0,
    n_threads: int | None = None,
    observer: Observer | None = None,
) -> FitResult:
    """Fit factors to the observed ratings.

    Parameters
    ----------
    train : Ratings
        What is fitted, shape (n_users, n_items).
    factors : Factors
        Where to start; updated in place.
    solver : Solver
        The algorithm.
    objective : Objective
        The problem.
    stopping : Stopping
        When to stop.
    valid : Ratings, optional
        Held-out ratings of the same shape; they switch on patience and keep-best.
    monitor : Monitor, optional
        What to evaluate and whom to tell.
    key : int
        64-bit key of the random orders.
    n_threads : int, optional
        For parallel kernels; never changes the result.
    observer : Observer, optional
        Keeps the run, and may bring back an earlier part of it; the result has the same bits either way.

    Returns
    -------
    FitResult
    """
    check_suited(solver, objective)
    monitor = monitor or Monitor()
    run = _Run(train, factors, solver, objective, valid, replace(monitor, kkt=monitor.kkt or stopping.kkt_tol > 0))
    with threads(1 if n_threads is None and len(train) < PARALLEL_FIT else n_threads):
        return run.result(_train(run, stopping, key, observer))


def ended(
    result: FitResult, step: Callable[[Factors], Factors], train: Ratings, objective: Objective, unit: float, said: str
) -> FitResult:
    """Let a last step change the factors of a result.

    Parameters
    ----------
    result : FitResult
    step : callable
        From factors to factors; its time is solver time.
    train, objective, unit
        What was fitted, as in `fit_factors` and `Monitor`.
    said : str
        What the step does, for the events of the history.

    Returns
    -------
    FitResult
        Its last record describes the factors as they are after the step.
    """
    started = time.perf_counter()
    factors = step(result.factors)
    *before, last = result.history.records
    seconds = last.seconds + time.perf_counter() - started
    value, train_rmse = fit_errors(train, factors, objective, unit)
    kkt = last.kkt if np.isnan(last.kkt) else objective.kkt_residual(train, factors)
    record = EpochRecord(last.epoch, seconds, value, train_rmse, last.valid_rmse, kkt)
    history = TrainingHistory([*before, record], [*result.history.events, f"epoch {last.epoch}: {said}"])
    return FitResult(factors, history, result.stop_reason)


def fit_errors(train: Ratings, factors: Factors, objective: Objective, unit: float) -> tuple[float, float]:
    """Return the objective, and the training RMSE in the unit of the ratings."""
    value, squares = objective.value_and_squares(train, factors)
    return value, unit * float(np.sqrt(squares / train.total_weight))


def _train(run: _Run, stopping: Stopping, key: int, observer: Observer | None) -> str:
    """Run to the end, or go on if the run was kept; return why it ended."""
    kept, solver, settings = None, run.solver, (run.objective, stopping, run.monitor)
    if observer is not None:
        kept = observer.begin(run.train, run.valid, run.factors, solver, key, settings)
    if kept and kept.stop_reason:
        run.restore(kept)
        return kept.stop_reason
    warm_up(solver, run.factors, run.train.weights is not None)
    run.state = solver.start(run.train, run.factors, run.objective, key=key, max_iter=stopping.max_iter)
    run.observer = observer
    if kept:
        run.restore(kept)
    try:
        reason = _loop(run, stopping)
    except KeyboardInterrupt:
        if not run.history.records:
            raise  # nothing was learnt yet
        reason = "interrupted"
    if observer is not None:
        observer.finish(reason, run.history.events)
    return reason


def _loop(run: _Run, stopping: Stopping) -> str:
    """Run epochs until there is a reason to stop; a run that recovers goes back to its last good epoch."""
    if not run.history.records:
        run.accept(run.look(0))
    elif reason := run.stalled(stopping):
        return reason  # the run was killed before it could say so
    epoch = run.good_epoch
    while epoch < stopping.max_iter:
        epoch += 1
        run.epoch()
        if epoch % run.monitor.every and epoch < stopping.max_iter:
            continue
        record = run.look(epoch)
        if run.exploded(record):
            if not run.repair(epoch):
                return "diverged"
            epoch = run.good_epoch
        elif reason := run.accept(record) or run.stalled(stopping):
            return reason
    return "max_iter"


def warm_up(solver: Solver, factors: Factors, weighted: bool = False) -> None:
    """Compile everything an epoch and an evaluation need, on a problem of three ratings."""
    tiny = Ratings.from_arrays([0, 0, 1], [0, 2, 1], [1.0, 2.0, 3.0], weights=[1, 2, 3] if weighted else None)
    start = scaled_start(tiny, 1, biases=factors.biases, dtype=str(factors.W.dtype))
    objective = Objective()
    solver.epoch(solver.start(tiny, start, objective, key=0, max_iter=1))
    objective.value(tiny, start)


class _Run:
    """The evaluation side of one run: clock, history, the last good and the best factors; what a checkpoint holds."""

    observer: Observer | None = None

    def __init__(
        self, train: Ratings, factors: Factors, solver: Solver, objective: Objective, valid: Ratings | None,
        monitor: Monitor,
    ) -> None:  # fmt: skip
        self.train, self.factors, self.objective, self.valid, self.monitor = train, factors, objective, valid, monitor
        self.solver, self.state = solver, State()
        self.history = TrainingHistory()
        self.seconds = 0.0
        self.repairs = 0
        self._kkt_at_ends = len(train) <= KKT_UP_TO
        self.good, self.good_epoch = factors.copy(), 0
        self.best, self.best_rmse, self.best_epoch = self.good, np.inf, 0

    def epoch(self) -> None:
        """Let the solver make one pass, and take its time."""
        started = time.perf_counter()
        self.solver.epoch(self.state)
        self.seconds += time.perf_counter() - started

    def look(self, epoch: int) -> EpochRecord:
        """Evaluate the factors as they are."""
        objective, train_rmse = fit_errors(self.train, self.factors, self.objective, self.monitor.unit)
        kkt = self._kkt() if self.monitor.kkt or (epoch == 0 and self._kkt_at_ends) else np.nan
        return EpochRecord(epoch, self.seconds, objective, train_rmse, self._valid_rmse(), kkt)

    def _kkt(self) -> float:
        return self.objective.kkt_residual(self.train, self.factors)

    def _valid_rmse(self) -> float:
        if self.valid is None:
            return float("nan")
        predictions = self.factors.predict(self.valid.users, self.valid.items)
        squares = (self.valid.values.astype(np.float64) - predictions) ** 2
        return self.monitor.unit * float(np.sqrt(np.average(squares, weights=self.valid.weights)))

    def exploded(self, record: EpochRecord) -> bool:
        """Whether the objective is no longer finite, or far worse than at the start."""
        return not record.objective <= DIVERGED_AT * self.history.records[0].objective  # `not <=` also catches NaN

    def repair(self, epoch: int) -> bool:
        """Go back to the last good factors with half the step; False if that is no use."""
        self.factors.overwrite(self.good)
        if not isinstance(self.solver, Rewinds) or self.repairs == MAX_REPAIRS:
            self.history.events.append(f"epoch {epoch}: diverged; the factors of epoch {self.good_epoch} were kept")
            return False
        self.repairs += 1
        self.solver.rewind(self.state, self.good_epoch)
        step = f"the step at {0.5**self.repairs:.3g} times"
        self.history.events.append(f"epoch {epoch}: diverged; back to epoch {self.good_epoch} with {step}")
        return True

    def accept(self, record: EpochRecord) -> str | None:
        """Enter a good record into the history; return "callback" if a callback asks to stop."""
        self.history.records.append(record)
        self.good, self.good_epoch = self.factors.copy(), record.epoch
        if record.valid_rmse < self.best_rmse:
            self.best, self.best_rmse, self.best_epoch = self.good, record.valid_rmse, record.epoch
        if self.observer is not None:
            self.observer.keep(self._kept())
        wishes = [callback(record, self.factors) for callback in self.monitor.callbacks]
        return "callback" if any(wishes) else None

    def _kept(self) -> Kept:
        """Return all that `restore` needs."""
        arrays = {"W": self.good.W, "H": self.good.H, "history": self.history.to_array()}
        if self.best is not self.good:
            arrays |= {"best_W": self.best.W, "best_H": self.best.H}
        numbers = {name: getattr(self, name) for name in ("seconds", "repairs", "best_rmse", "best_epoch")}
        numbers |= {"epoch": self.good_epoch, "events": list(self.history.events)}
        return Kept(arrays, numbers, {name: self.state[name] for name in self.solver.memory if name in self.state})

    def restore(self, kept: Kept) -> None:
        """Go back to the epoch that was kept."""
        arrays, numbers = kept.arrays, dict(kept.numbers)
        self.state |= kept.state
        self.good, self.good_epoch = Factors(arrays["W"], arrays["H"], self.factors.biases), numbers.pop("epoch")
        self.best = self.good
        if "best_W" in arrays:
            self.best = Factors(arrays["best_W"], arrays["best_H"], self.factors.biases)
        self.history = TrainingHistory.from_array(arrays["history"], numbers.pop("events"))
        for name, value in numbers.items():
            setattr(self, name, value)
        self.factors.overwrite(self.good)

    def stalled(self, stopping: Stopping) -> str | None:
        """Say whether the last two records are reason to stop."""
        if len(self.history.records) < 2:
            return None
        before, now = self.history.records[-2:]
        if self.valid is not None and now.epoch - self.best_epoch >= stopping.patience:
            return "no_improvement"
        if now.kkt <= stopping.kkt_tol:
            return "kkt"
        decrease = (before.objective - now.objective) / (now.epoch - before.epoch)
        if self.solver.monotone and decrease < stopping.tol * before.objective:
            return "converged"
        return "time" if stopping.max_seconds is not None and now.seconds >= stopping.max_seconds else None

    def result(self, reason: str) -> FitResult:
        """Return the factors (of the best validation error, if there is one), with a last KKT residual."""
        self.factors.overwrite(self.good if self.valid is None else self.best)
        last = self.history.records[-1]
        if self._kkt_at_ends and np.isnan(last.kkt) and self.good_epoch == last.epoch and self.valid is None:
            self.history.records[-1] = last._replace(kkt=self._kkt())
        return FitResult(self.factors, self.history, reason)
