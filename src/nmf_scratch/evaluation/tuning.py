"""Search for good hyper-parameters without ever looking at a test fold.

Candidates (`nmf_scratch.evaluation.candidates`) are judged by cross-validation *inside* the ratings that were passed:
hold the test part out before.

*Successive halving.* Most candidates are visibly bad after a few epochs. So all of them run briefly, the best third
runs three times as long, the best third of those as long as it should:

    rung      1           2           3
    27 candidates → 9 candidates → 3 candidates
    1/9           → 1/3          → all of the epochs that the candidate's solver would run

A survivor is *fitted anew* with more epochs, not continued. Solvers that lower their step over the planned number of
epochs (sgd) are not on the way to the long run when they end a short one, so continuing would measure a schedule that
no command can ask for. It costs little: with a factor of 3, at most half as much again. In return every row of the
table is a complete fit that can be repeated, and the winner may well be one that stopped early. The weak spot of the
method: what learns slowly and ends well (a strong penalty, a small step) may not live to show it.

*Honesty.* The winner's error is the smallest of many noisy numbers, hence too small. What to expect is measured once,
at the end, on ratings that took no part.

Reference: Jamieson & Talwalkar, *Non-stochastic best arm identification and hyperparameter optimization*, AISTATS 2016.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nmf_scratch._check import InputError, check_number
from nmf_scratch._html import summary
from nmf_scratch.evaluation.candidates import SPACE, Candidate, make_candidates, with_parameters
from nmf_scratch.evaluation.cross_validation import RatingData, cross_validate
from nmf_scratch.evaluation.splits import KFold, Split, check_cv
from nmf_scratch.model import NMF

Trial = dict[str, Any]

MAX_RUNGS = 3
"""A ninth of the epochs says something with a factor of 3; a twenty-seventh would not."""

FORMAT, FORMAT_VERSION = "nmf-scratch search", 1


class Step(NamedTuple):
    """How far a search is, told before each fit and at the end: fits done and to do, rung, best error so far or NaN."""

    done: int
    total: int
    rung: int
    n_rungs: int
    best: float


@dataclass(frozen=True)
class Search:
    """What `tune` found.

    Attributes
    ----------
    table : DataFrame
        One row per trial, in the order they were run: candidate, rung, the searched parameters, max_iter (epochs of
        this trial), rmse (mean over the inner folds, in the unit of the ratings), standard_error, seconds (of fitting).
    best : dict
        Parameters of the trial with the lowest error, max_iter among them.
    best_rmse : float
        Its error on the inner folds: too good by its being chosen.
    model : NMF
        An unfitted model with these parameters.
    interrupted : bool
        Whether Ctrl-C ended the search; the table then holds what was done.
    """

    table: pd.DataFrame
    best: dict[str, Any]
    best_rmse: float
    model: NMF
    interrupted: bool

    def _repr_html_(self) -> str:
        best = ", ".join(f"{name} = {value}" for name, value in self.best.items())
        ended = " Ctrl-C ended the search early." if self.interrupted else ""
        sentence = f"Best of {len(self.table)} trials, RMSE {self.best_rmse:.4f}: {best}.{ended}"
        ranked = self.table.sort_values("rmse", kind="stable")
        return summary(sentence, ranked.columns, ranked.to_numpy(dtype=object).tolist())


def tune(
    model: NMF,
    X: Any,
    y: Any = None,
    *,
    space: Mapping[str, Any] | None = None,
    n_candidates: int | None = 27,
    cv: Any = 3,
    reduction: int = 3,
    random_state: int = 0,
    results: str | Path | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Search:
    """Search for the parameters with the lowest RMSE on inner validation folds, by successive halving on epochs.

    Parameters
    ----------
    model : NMF
        What is not searched; never changed. Without a `random_state` of its own it gets this function's.
    X : DataFrame, array_like or Dataset
        (user, item) pairs of shape (n, 2), or data that holds the ratings too. Training ratings only: what is to judge
        the winner must not be in here.
    y : array_like of float, shape (n,), optional
        Ratings, where X does not hold them.
    space : mapping, optional
        Name of a parameter of `NMF` to a list of choices or a range (low, high), drawn log-uniformly: whole numbers if
        both bounds are, else to three digits. `SPACE` by default.
    n_candidates : int, optional
        How many random candidates; fewer if the space has no more. None takes all combinations of the lists.
    cv : int or splitter
        Inner folds: a number of shuffled ones, or a splitter as in `cross_validate`; the same for all candidates.
    reduction : int
        One in so many candidates gets to the next rung, with so many times the epochs.
    random_state : int
        Seed of the candidates and the folds.
    results : str or Path, optional
        File that every finished trial is written to, in one step. If it exists, the search goes on where it ended.
    on_step : callable, optional
        Told a `Step` before each fit.

    Returns
    -------
    Search

    Raises
    ------
    InputError
        If the space or a parameter is wrong, or `results` holds another search.
    """
    check_number("random_state", random_state, minimum=0, integer=True)
    check_number("reduction", reduction, minimum=2, integer=True)
    base = with_parameters(model, {"random_state": random_state if model.random_state is None else model.random_state})
    candidates = make_candidates(base, SPACE if space is None else space, n_candidates, random_state)
    data = RatingData(X, y)
    folds = _Folds(data, KFold(cv, shuffle=True, random_state=random_state) if isinstance(cv, int) else cv)
    store = _Store(results, _identity(base, candidates, folds, data, reduction))
    rungs = _Rungs(base, candidates, reduction)
    run = _Run(rungs, store, folds, data, on_step)
    try:
        run.all()
        interrupted = False
    except KeyboardInterrupt:
        if not store.trials:
            raise
        interrupted = True
    return _found(base, rungs, store, interrupted)


def _found(base: NMF, rungs: _Rungs, store: _Store, interrupted: bool) -> Search:
    trials = sorted(store.trials, key=lambda trial: (trial["rung"], trial["candidate"]))
    rows = [
        {"candidate": t["candidate"], "rung": t["rung"], **rungs.parameters(t), **{name: t[name] for name in _MEASURED}}
        for t in trials
    ]
    winner = min(trials, key=lambda trial: (trial["rmse"], trial["rung"], trial["candidate"]))
    best = rungs.parameters(winner)
    return Search(pd.DataFrame(rows), best, winner["rmse"], with_parameters(base, best), interrupted)


_MEASURED = ("rmse", "standard_error", "seconds")


# --- rungs and trials -----------------------------------------------------------------------------------------------


class _Rungs:
    """Who runs for how long: rung r of n gives reduction^(r − n) of the epochs that a candidate would run in full."""

    def __init__(self, base: NMF, candidates: list[Candidate], reduction: int) -> None:
        self.candidates, self.reduction = candidates, reduction
        sizes = [len(candidates)]
        while len(sizes) < MAX_RUNGS and sizes[-1] > 1:
            sizes.append(math.ceil(sizes[-1] / reduction))
        self.sizes = sizes
        self.full = [with_parameters(base, candidate).epochs() for candidate in candidates]
        self.base = base

    def parameters(self, trial: Trial) -> dict[str, Any]:
        """Everything that makes the trial: the candidate's parameters and its epochs on this rung."""
        share = self.reduction ** (len(self.sizes) - trial["rung"])
        return {**self.candidates[trial["candidate"]], "max_iter": math.ceil(self.full[trial["candidate"]] / share)}


class _Run:
    """The search itself: trials that are stored are not run again."""

    def __init__(
        self, rungs: _Rungs, store: _Store, folds: _Folds, data: RatingData, on_step: Callable[[Step], None] | None
    ) -> None:
        self.rungs, self.store, self.folds, self.data, self.on_step = rungs, store, folds, data, on_step
        self.done, self.total = 0, sum(rungs.sizes) * folds.get_n_splits()

    def all(self) -> None:
        alive = list(range(len(self.rungs.candidates)))
        for rung, size in enumerate(self.rungs.sizes, start=1):
            if rung > 1:
                alive = sorted(sorted(alive, key=lambda c: (self.trial(c, rung - 1)["rmse"], c))[:size])
            for candidate in alive:
                self.trial(candidate, rung)
        self.done = self.total
        self.tell(len(self.rungs.sizes))

    def trial(self, candidate: int, rung: int) -> Trial:
        stored = self.store.find(candidate, rung)
        if stored is not None:
            return stored
        self.done = len(self.store.trials) * self.folds.get_n_splits()
        trial: Trial = {"candidate": candidate, "rung": rung}
        model = with_parameters(self.rungs.base, self.rungs.parameters(trial))

        def on_fold(fold: int) -> None:
            self.tell(rung)
            self.done += 1

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a step that diverges shows in the error
            scores = cross_validate(model, self.data.pairs, self.data.values, cv=self.folds, on_fold=on_fold)
        trial["rmse"] = float(scores["rmse"].mean())
        trial["standard_error"] = float(scores["rmse"].std() / len(scores) ** 0.5)
        trial["seconds"] = float(scores["fit_seconds"].sum())
        self.store.add(trial)
        return trial

    def tell(self, rung: int) -> None:
        if self.on_step is not None:
            best = min((trial["rmse"] for trial in self.store.trials), default=math.nan)
            self.on_step(Step(self.done, self.total, rung, len(self.rungs.sizes), best))


class _Folds:
    """The inner folds, drawn once: every candidate is judged on the same."""

    def __init__(self, data: RatingData, cv: Any) -> None:
        self.splits = list(check_cv(cv).split(data.table))

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        return iter(self.splits)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return len(self.splits)


# --- what makes it resumable ----------------------------------------------------------------------------------------


def _identity(base: NMF, candidates: list[Candidate], folds: _Folds, data: RatingData, reduction: int) -> str:
    """Return a hash of all that the numbers of a search depend on."""
    settings = {name: value for name, value in base.get_params().items() if name not in ("callbacks", "verbose")}
    digest = hashlib.sha256(repr((settings, candidates, reduction)).encode())
    digest.update(pd.util.hash_pandas_object(data.pairs, index=False).to_numpy().tobytes())
    for array in (data.values, *itertools.chain.from_iterable(folds.splits)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class _Store:
    """Finished trials, in memory and in a file that is replaced in one step: a crash leaves the last complete one."""

    def __init__(self, path: str | Path | None, identity: str) -> None:
        self.path, self.identity = None if path is None else Path(path), identity
        self.trials: list[Trial] = []
        if self.path is not None and self.path.exists():
            self.trials = self._read(self.path)

    def _read(self, path: Path) -> list[Trial]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = content["format"] == FORMAT and content["format_version"] <= FORMAT_VERSION
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise InputError(f"results={str(path)!r} is no file of a search, or damaged: name another, or delete it")
        if content["search"] != self.identity:
            raise InputError(
                f"results={str(path)!r} holds another search (its space, data, folds, seed or settings differ): "
                "name another file, or delete it"
            )
        trials: list[Trial] = content["trials"]
        return trials

    def find(self, candidate: int, rung: int) -> Trial | None:
        return next((t for t in self.trials if (t["candidate"], t["rung"]) == (candidate, rung)), None)

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)
        if self.path is not None:
            header = {"format": FORMAT, "format_version": FORMAT_VERSION, "search": self.identity}
            partial = self.path.with_name(f".{self.path.name}.partial")
            partial.write_text(json.dumps({**header, "trials": self.trials}, indent=1) + "\n", encoding="utf-8")
            partial.replace(self.path)
