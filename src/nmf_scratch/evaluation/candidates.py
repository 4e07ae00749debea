"""What to try: candidates for a search over hyper-parameters, drawn at random or all combinations of a grid.

Random draws find as good a point as a grid with far fewer fits where only some of the parameters matter, which is the
rule (Bergstra & Bengio, *Random search for hyper-parameter optimization*, JMLR 13, 2012). Strengths are drawn
log-uniformly: from 0.01 to 0.02 is as far as from 0.1 to 0.2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from nmf_scratch._check import InputError, check_choice, check_number
from nmf_scratch._random import SEARCH, generator
from nmf_scratch.model import NMF
from nmf_scratch.solvers import SOLVERS

Candidate = dict[str, Any]

SPACE: Mapping[str, Any] = {
    "solver": ["adagrad", "adam", "ccd", "als", "mu"],
    "n_components": [20, 40, 80, 120],
    "alpha": (0.05, 0.5),
    "loss": [2.0, 1.0],
}
"""What is searched by default. Only some solvers can minimise a loss other than 2: other pairs are never drawn."""

PATIENCE = 100
"""Draws in a row without a new candidate after which the space counts as exhausted."""


def make_candidates(
    model: NMF, space: Mapping[str, Any], n_candidates: int | None, random_state: int
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
            with_parameters(model, candidate).epochs()  # refuses what cannot be fitted, before anything is
            found.append(candidate)
        if len(found) == n_candidates or (n_candidates is not None and misses == PATIENCE):
            break
    if not found:
        raise InputError("no candidate is possible: none of the solvers can minimise any of the losses")
    return found


def _check_space(model: NMF, space: Mapping[str, Any]) -> None:
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


def _possible(model: NMF, candidate: Candidate) -> bool:
    solver, loss = candidate.get("solver", model.solver), candidate.get("loss", model.loss)
    if isinstance(solver, str):
        check_choice("solver", solver, SOLVERS)
        solver = SOLVERS[solver]
    return bool(solver.losses[0] <= loss <= solver.losses[1])


def with_parameters(model: NMF, parameters: Mapping[str, Any]) -> NMF:
    """Return an unfitted model with the same parameters but these."""
    return NMF(**{**model.get_params(), **parameters})
