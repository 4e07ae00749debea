"""Problems that the tests share: rectangular, asymmetric, seeded, with an empty user and an empty item."""

from dataclasses import replace

import numpy as np
from reference import problem as reference_problem

from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers.stochastic import order_of

EMPTY_USER, EMPTY_ITEM = 5, 3


def small_ratings(seed: int, n_users: int = 23, n_items: int = 14, density: float = 0.4) -> Ratings:
    """Draw ratings from 0.5 to 2 (as after scaling to a mean near 1), shape 23 × 14, one row and one column empty."""
    rng = np.random.default_rng(seed)
    observed = rng.random((n_users, n_items)) < density
    observed[EMPTY_USER, :] = False
    observed[:, EMPTY_ITEM] = False
    observed[0, 0] = True
    dense = np.where(observed, rng.integers(1, 5, size=observed.shape) / 2, np.nan)
    return Ratings.from_dense(dense)


def dense(ratings: Ratings) -> np.ndarray:
    """Return the ratings as a float64 matrix with NaN where nothing was observed."""
    matrix = np.full(ratings.shape, np.nan)
    matrix[ratings.users, ratings.items] = ratings.values
    return matrix


def naive_sides(objective: Objective, ratings: Ratings, factors: Factors) -> list:
    """Return (λ, ρ, m) of both sides for the naive twins, from the same settings but by other code."""
    k, n_columns = factors.n_components, factors.W.shape[1]
    observed = ~np.isnan(dense(ratings))
    sides = []
    for side, axis in ((0, 1), (1, 0)):
        free_bias = (k, k + 1)[side] if factors.biases else None
        lam = reference_problem.strengths(
            observed.sum(axis=axis) + objective.unobserved_weight * observed.shape[axis],
            objective.alpha[side], objective.alpha_bias[side], objective.weighting, k, free_bias, n_columns,
        )  # fmt: skip
        terms = reference_problem.side_terms(k, free_bias, n_columns, objective.bias_level, objective.l1_ratio)
        sides.append((lam, *terms))
    return sides


def order_of_epoch(state: dict, ratings: Ratings) -> np.ndarray:
    """Return in which order the epoch to come visits the ratings: positions, each once."""
    tiles, starts, users, items, *_ = order_of(state)
    visited = np.concatenate([np.arange(starts[tile], starts[tile + 1]) for tile in tiles])
    places = {pair: at for at, pair in enumerate(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True))}
    pairs = zip(state["rows_W"][users[visited]].tolist(), state["rows_H"][items[visited]].tolist(), strict=True)
    return np.array([places[pair] for pair in pairs])


def naive_frozen(factors: Factors) -> list:
    return [None if columns.frozen < 0 else columns.frozen for columns in factors.columns]


OBJECTIVES = {
    "count": Objective((0.03, 0.05), (0.7, 1.3), 0.25),
    "plain": Objective((0.2, 0.4), (0.7, 1.3), 0.25, weighting="plain"),
    "half": Objective((0.08, 0.12), (0.7, 1.3), 0.25, l1_ratio=0.2, weighting=0.5),
    "lasso": Objective((0.03, 0.05), (0.7, 1.3), 0.25, l1_ratio=0.6),
    "plain lasso": Objective((0.2, 0.4), (0.7, 1.3), 0.25, l1_ratio=1.0, weighting="plain"),
    "none": Objective(),
}
"""One of each kind of penalty, different on the two sides."""

WITH_CELLS = {
    kind: replace(OBJECTIVES[kind], unobserved_weight=weight)
    for kind, weight in (("count", 0.3), ("half", 0.05), ("plain lasso", 0.1), ("none", 0.2))
}
"""The same where cells that nobody rated count."""
