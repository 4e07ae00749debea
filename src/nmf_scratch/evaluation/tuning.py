"""Search for good hyper-parameters without ever looking at a test fold.

Candidates are evaluated by cross-validation *inside* the ratings that were passed: hold the test part out before.

*What to try.* Random draws find as good a point as a grid with far fewer fits where only some of the parameters matter,
which is the rule (Bergstra & Bengio, *Random search for hyper-parameter optimization*, JMLR 13, 2012). Strengths are
drawn log-uniformly: from 0.01 to 0.02 is as far as from 0.1 to 0.2.

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

*The model itself*, as it was passed, runs in full beside the last survivors: if nothing is better, it wins.

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

from nmf_scratch._archive import write_file
from nmf_scratch._check import InputError, check_choice, check_number
from nmf_scratch._html import summary
from nmf_scratch._random import SEARCH, generator
from nmf_scratch.evaluation.cross_validation import RatingData, cross_validate
from nmf_scratch.evaluation.splits import KFold, Splitter, check_cv
from nmf_scratch.solvers import Unsuited

Candidate = dict[str, Any]
Trial = dict[str, Any]

SPACE: Mapping[str, Any] = {
    "solver": ["adagrad", "adam", "ccd", "als", "mu"],
    "n_components": [20, 40, 80, 120],
    "alpha": (0.05, 0.5),
    "loss": [2.0, 1.0],
}
"""What is searched by default. Only some solvers can minimise a loss other than 2: other pairs are never drawn."""

PATIENCE = 100
"""Draws in a row without a new candidate after which the space counts as exhausted."""

MAX_RUNGS = 3
"""A ninth of the epochs says something with a factor of 3; a twenty-seventh would not."""

NO_MATTER = ("callbacks", "verbose")
"""Parameters that change no number."""

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
    model: Any
    interrupted: bool

    def _repr_html_(self) -> str:
        best = ", ".join(f"{name} = {value}" for name, value in self.best.items())
        ended = " Ctrl-C ended the search early." if self.interrupted else ""
        sentence = f"Best of {len(self.table)} trials, RMSE {self.best_rmse:.4f}: {best}.{ended}"
        ranked = self.table.sort_values("rmse", kind="stable")
        return summary(sentence, ranked.columns, ranked.to_numpy(dtype=object).tolist())


def tune(
    model: Any,
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
        (user, item) pairs of shape (n, 2), or data that holds the ratings too. Training ratings only: what is to test
        the winner must not be in here.
    y : array_like of float, shape (n,), optional
        Ratings, where X does not hold them.
    space : mapping, optional
        Name of a parameter of `NMF` to a list of choices or a range (low, high), drawn log-uniformly: whole numbers if
        both bounds are, else to three digits. `SPACE` by default.
    n_candidates : int, optional
        How many random candidates; fewer if the space has no more. None takes all combinations of the lists.
    cv : int, splitter or list of (train, test)
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
    base = model.clone(random_state=random_state if model.random_state is None else model.random_state)
    candidates = make_candidates(base, SPACE if space is None else space, n_candidates, random_state)
    data = RatingData(X, y)
    drawn = check_cv(KFold(cv, shuffle=True, random_state=random_state) if isinstance(cv, int) else cv)
    folds = check_cv(list(drawn.split(data.table)))  # drawn once: every candidate is evaluated on the same
    run = _Run(base, candidates, reduction, data, folds, results, on_step)
    try:
        run.all()
    except KeyboardInterrupt:
        if not run.store.trials:
            raise
        return run.found(interrupted=True)
    return run.found(interrupted=False)


class _Run:
    """The search itself: rung r of n gives reduction^(r − n) of the epochs that a candidate would run in full."""

    def __init__(
        self, base: Any, candidates: list[Candidate], reduction: int, data: RatingData, folds: Splitter,
        results: str | Path | None, on_step: Callable[[Step], None] | None,
    ) -> None:  # fmt: skip
        itself = {name: base.get_params()[name] for name in candidates[0]}
        self.base, self.candidates, self.reduction = base, [*candidates, itself], reduction
        self.data, self.folds, self.on_step = data, folds, on_step
        self.full = [base.clone(**candidate).epochs() for candidate in self.candidates]
        self.sizes = [len(candidates)]
        while len(self.sizes) < MAX_RUNGS and self.sizes[-1] > 1:
            self.sizes.append(math.ceil(self.sizes[-1] / reduction))
        self.store = _Store(results, self.identity())
        self.done, self.total = 0, (sum(self.sizes) + 1) * folds.get_n_splits()

    def identity(self) -> str:
        """Return a hash of all that the numbers of the search depend on."""
        settings = {name: value for name, value in self.base.get_params().items() if name not in NO_MATTER}
        digest = hashlib.sha256(repr((settings, self.candidates, self.reduction)).encode())
        digest.update(pd.util.hash_pandas_object(self.data.pairs, index=False).to_numpy().tobytes())
        for array in (self.data.values, *itertools.chain.from_iterable(self.folds.split(None))):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def all(self) -> None:
        """Run all rungs; trials that are stored are not run again."""
        *alive, itself = range(len(self.candidates))
        for rung, size in enumerate(self.sizes, start=1):
            if rung > 1:
                alive = sorted(sorted(alive, key=lambda c: (self.trial(c, rung - 1)["rmse"], c))[:size])
            for candidate in alive:
                self.trial(candidate, rung)
        self.trial(itself, len(self.sizes))
        self.done = self.total
        self.tell(len(self.sizes))

    def parameters(self, candidate: int, rung: int) -> dict[str, Any]:
        """Return what makes a trial: the candidate's parameters, and its epochs on this rung."""
        share = self.reduction ** (len(self.sizes) - rung)
        return {**self.candidates[candidate], "max_iter": math.ceil(self.full[candidate] / share)}

    def trial(self, candidate: int, rung: int) -> Trial:
        """Return a trial, from the store or by running it."""
        if (candidate, rung) in self.store.trials:
            return self.store.trials[candidate, rung]
        self.done = len(self.store.trials) * self.folds.get_n_splits()
        model = self.base.clone(**self.parameters(candidate, rung))

        def on_fold(fold: int) -> None:
            self.tell(rung)
            self.done += 1

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a step that diverges shows in the error
            scores = cross_validate(model, self.data.pairs, self.data.values, cv=self.folds, on_fold=on_fold)
        rmse, seconds = scores["rmse"], float(scores["fit_seconds"].sum())
        measured = {
            "rmse": float(rmse.mean()),
            "standard_error": float(rmse.std() / len(rmse) ** 0.5),
            "seconds": seconds,
        }
        return self.store.add({"candidate": candidate, "rung": rung, **measured})

    def tell(self, rung: int) -> None:
        if self.on_step is not None:
            best = min((trial["rmse"] for trial in self.store.trials.values()), default=math.nan)
            self.on_step(Step(self.done, self.total, rung, len(self.sizes), best))

    def found(self, *, interrupted: bool) -> Search:
        """Return what the trials say, in order of rungs."""
        trials = sorted(self.store.trials.values(), key=lambda trial: (trial["rung"], trial["candidate"]))
        rows = [{"candidate": c, "rung": r, **self.parameters(c, r), **t} for t in trials for c, r in [_place(t)]]
        winner = min(trials, key=lambda trial: (trial["rmse"], trial["rung"], trial["candidate"]))
        best = self.parameters(*_place(winner))
        return Search(pd.DataFrame(rows), best, winner["rmse"], self.base.clone(**best), interrupted)


def _place(trial: Trial) -> tuple[int, int]:
    return trial["candidate"], trial["rung"]


class _Store:
    """Finished trials, in memory and in a file that is replaced in one step: a crash leaves the last complete one."""

    def __init__(self, path: str | Path | None, identity: str) -> None:
        self.path, self.identity = None if path is None else Path(path), identity
        self.trials: dict[tuple[int, int], Trial] = {}
        if self.path is not None and self.path.exists():
            self.trials = {_place(trial): trial for trial in self._read(self.path)}

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

    def add(self, trial: Trial) -> Trial:
        self.trials[_place(trial)] = trial
        if self.path is not None:
            if self.path.exists():  # somebody else may be at work on the same search
                self.trials = {_place(other): other for other in self._read(self.path)} | self.trials
            content = {"format": FORMAT, "format_version": FORMAT_VERSION, "search": self.identity}
            text = json.dumps({**content, "trials": [*self.trials.values()]}, indent=1) + "\n"
            write_file(self.path, text)
        return trial


# --- candidates -----------------------------------------------------------------------------------------------------


def make_candidates(
    model: Any, space: Mapping[str, Any], n_candidates: int | None, random_state: int
) -> list[Candidate]:
    """Return the candidates of a search, each checked; a loss that the solver cannot minimise is left out.

    Parameters
    ----------
    model : NMF
        What is not searched.
    space : mapping
        Name of a parameter of `NMF` to a list of choices or a range (low, high), drawn log-uniformly: whole numbers if
        both bounds are, else to three digits.
    n_candidates : int or None
        Number of random candidates, None for all combinations.
    random_state : int
        Seed of the draws.

    Raises
    ------
    InputError
        If the space names no parameter of `NMF`, is empty, or a value cannot be used.
    """
    if n_candidates is not None:
        check_number("n_candidates", n_candidates, minimum=1, integer=True)
    _check_space(model, space)
    found: list[Candidate] = []
    misses = 0
    for candidate in _grid(space) if n_candidates is None else _draws(space, random_state):
        new = candidate not in found and _possible(model, candidate)
        misses = 0 if new else misses + 1
        if new:
            found.append(candidate)
        if len(found) == n_candidates or (n_candidates is not None and misses == PATIENCE):
            break
    if not found:
        raise InputError("no candidate is possible: none of the solvers can minimise any of the losses")
    return found


def _check_space(model: Any, space: Mapping[str, Any]) -> None:
    for name, values in space.items():
        check_choice("parameter to search", name, model.get_params())
        if not isinstance(values, (list, tuple)) or not values:
            raise InputError(f"space[{name!r}] must be a list of choices or a range (low, high), got {values!r}")
        if isinstance(values, tuple):
            for value in values:
                check_number(f"space[{name!r}]", value, minimum=0, exclusive=True)
            if len(values) != 2 or values[0] >= values[1]:
                raise InputError(f"space[{name!r}] must be a range (low, high) with low < high, got {values!r}")


def _grid(space: Mapping[str, Any]) -> Iterator[Candidate]:
    for name, values in space.items():
        if isinstance(values, tuple):
            raise InputError(f"space[{name!r}]={values!r} is a range; a grid (n_candidates=None) needs a list")
    return (dict(zip(space, values, strict=True)) for values in itertools.product(*space.values()))


def _draws(space: Mapping[str, Any], random_state: int) -> Iterator[Candidate]:
    for number in itertools.count():
        rng = generator(random_state, SEARCH, number)  # a function of the number: more candidates keep the first ones
        yield {name: _draw(values, rng.random()) for name, values in space.items()}


def _draw(values: Any, uniform: float) -> Any:
    """Return the choice, or the point of a logarithmic range, at a uniform number in [0, 1)."""
    if isinstance(values, list):
        return values[int(uniform * len(values))]
    low, high = values
    if isinstance(low, int) and isinstance(high, int):
        return math.floor(low * ((high + 1) / low) ** uniform)
    return float(f"{low * (high / low) ** uniform:.3g}")


def _possible(model: Any, candidate: Candidate) -> bool:
    """Whether the solver can do what the candidate asks; refuse what no solver can, before anything is fitted."""
    try:
        model.clone(**candidate).epochs()
    except Unsuited:
        return False
    return True
