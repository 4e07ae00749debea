"""What a rating says about a choice: to which value its cell is pulled, and how firmly (Hu, Koren & Volinsky 2008).

Where a model is to sort by what people choose (`unobserved_weight`), a rating is first of all a choice: its cell is
pulled to the *target* 1, whatever the stars. How sure one can be that the choice was a good one, its *confidence*, is
the weight of that pull, a function of the rating:

    "stars"        by its place in the rating scale: 0.1, 0.2, 0.4, 1, 1.3 for one to five stars, linear in between
    "rating"       proportional to it, 1 at the mean: for ratings that are counts and of one size
    "log"          proportional to log(1 + rating), 1 at the mean: for counts, of which the largest are thousands
    "threshold"    1 from the mean rating on, 0 below
    a mapping      weights of some ratings, linear in between: {1: 0, 3: 0.5, 5: 1}
    None           1
    "auto"         "log" if the ratings can only be counts, else "stars"

A model that predicts ratings has neither: its cells are pulled to the ratings, each once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_choice, check_number
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.data.statistics import are_counts

CONFIDENCES = ("stars", "rating", "log", "threshold")

STARS = (0.1, 0.2, 0.4, 1.0, 1.3)
"""Confidence at the quarters of the rating scale, one to five stars."""


@dataclass(frozen=True)
class Preference:
    """Targets and confidences as functions of the rating.

    Attributes
    ----------
    target : float or None
        What rated cells are pulled to; None is the rating itself.
    levels, weights : tuple of float
        Ratings, ascending, and their confidences: linear in between, constant beyond. None of them: 1.
    logarithmic : bool
        Whether confidence is linear in log(1 + rating) instead.
    """

    target: float | None = None
    levels: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    logarithmic: bool = False

    @classmethod
    def of(cls, target: Any, confidence: Any, ratings: Ratings, scale: tuple[float, float]) -> Preference:
        """Return what the parameters of an estimator mean for these ratings.

        Parameters
        ----------
        target : float or None
        confidence : str, mapping or None
            As listed above.
        ratings : Ratings
            For their mean and their largest.
        scale : (float, float)
            The rating scale.

        Raises
        ------
        InputError
            If a confidence is unknown, negative or not finite, or the target is not above 0.
        """
        if target is not None:
            check_number("target", target, minimum=0.0, exclusive=True)
        plain = cls(target)
        if confidence is None:
            return plain
        if isinstance(confidence, Mapping):
            levels, weights = _from_mapping(confidence)
            return replace(plain, levels=levels, weights=weights)
        check_choice("confidence", confidence, ("auto", *CONFIDENCES))
        (low, high), mean = scale, ratings.mean
        if confidence == "auto":
            confidence = "log" if are_counts(np.unique(ratings.values), ratings.values) else "stars"
        if confidence == "stars":
            levels = tuple(np.linspace(low, high, len(STARS)).tolist())
            return replace(plain, levels=levels, weights=STARS) if low < high else plain
        if confidence == "threshold":
            return replace(plain, levels=(float(np.nextafter(np.float32(mean), -1)), mean), weights=(0.0, 1.0))
        top, logarithmic = float(ratings.values.max()), confidence == "log"
        if not top:
            return plain
        share = np.log1p(top) / np.log1p(mean) if logarithmic else top / mean
        return replace(plain, levels=(0.0, top), weights=(0.0, float(share)), logarithmic=logarithmic)

    @property
    def is_plain(self) -> bool:
        """Whether each rating is its own target, and counts once."""
        return self == Preference()

    def confidence(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the confidence of each rating, shape (n,)."""
        if not self.levels:
            return np.ones(len(values), np.float32)
        at, levels = (np.log1p(x) if self.logarithmic else x for x in (values, np.asarray(self.levels)))
        weights: NDArray[np.float32] = np.interp(at, levels, self.weights).astype(np.float32)
        return weights

    def targets(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the target of each rating, shape (n,), in the dtype given."""
        return values if self.target is None else np.full_like(values, self.target)

    def unit(self, terms: Ratings) -> float:
        """Return what terms are divided by before they are fitted: the target, which all have, or their mean."""
        return terms.unit if self.target is None else float(self.target)

    def terms(self, ratings: Ratings) -> Ratings:
        """Return ratings as a model learns from them: targets as values, confidences times weights as weights."""
        if self.is_plain:
            return ratings
        weights = self.confidence(ratings.values) * (1 if ratings.weights is None else ratings.weights)
        pairs = ratings.users, ratings.items, self.targets(ratings.values)
        counting = weights > 0
        if not counting.any():
            raise InputError("confidence must be above 0 for some of the ratings: none would count")
        columns = (column if counting.all() else column[counting] for column in (*pairs, weights))
        users, items, values, own = columns
        return Ratings(users, items, values, ratings.n_users, ratings.n_items, own if self.levels else ratings.weights)


def _from_mapping(confidence: Mapping[Any, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return levels and weights in the order of the levels."""
    if not confidence:
        raise InputError("confidence={} says nothing: map at least one rating to its weight, or pass None")
    for level, weight in confidence.items():
        check_number("rating in confidence", level)
        check_number(f"confidence[{level!r}]", weight, minimum=0.0)
    levels = sorted(confidence)
    return tuple(map(float, levels)), tuple(float(confidence[level]) for level in levels)
