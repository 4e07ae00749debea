"""Ratings whose truth is known: planted non-negative factors (and, in `nmf_scratch.data.demo`, the demo data).

A solver that is right must find what was planted, down to the noise. `planted_ratings` draws W, H >= 0 and observes
some entries of W Hᵀ plus Gaussian noise, with the popularity and activity of real data: a few items and users hold
most ratings. All draws come from one key, so the same arguments give the same data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmf_scratch._check import InputError, check_number
from nmf_scratch._random import RandomState, generator, random_key
from nmf_scratch.data.demo import DemoTruth, demo_truth, make_demo

__all__ = ["DemoTruth", "Planted", "demo_truth", "make_demo", "planted_ratings"]

_FACTORS, _PAIRS, _NOISE = range(200, 203)
_ROUNDS = 12


@dataclass(frozen=True)
class Planted:
    """Ratings and the truth behind them.

    Attributes
    ----------
    users, items : ndarray of int64, shape (n_ratings,)
        Encoded pairs, sorted by user and item, each once.
    values : ndarray of float64, shape (n_ratings,)
        max(0, w_u·h_i + noise), in stars.
    W, H : ndarray, shapes (n_users, n_components) and (n_items, n_components)
        The planted factors, non-negative.
    noise : float
        Standard deviation of the noise, in stars.
    """

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    W: np.ndarray
    H: np.ndarray
    noise: float


def planted_ratings(
    n_users: int,
    n_items: int,
    n_components: int,
    *,
    n_ratings: int | None = None,
    density: float | None = None,
    noise: float = 0.1,
    mean: float = 3.0,
    popularity: float = 0.8,
    activity: float = 0.8,
    random_state: RandomState = 0,
) -> Planted:
    """Draw non-negative factors and observe some entries of their product, with noise.

    Parameters
    ----------
    n_users, n_items, n_components : int
        Shape and rank of the truth.
    n_ratings : int, optional
        How many pairs to observe; give this or `density`.
    density : float, optional
        The share of all pairs to observe, 0 < density <= 1.
    noise : float
        Standard deviation of the Gaussian noise, in stars. Negative results become 0, so keep it well below `mean`.
    mean : float
        Mean of w_u·h_i over all pairs, in stars.
    popularity : float
        Exponent of Zipf's law for items: the r-th most popular is drawn in proportion to r to the power -popularity.
    activity : float
        Standard deviation of the logarithm of the users' activity.
    random_state : int, Generator or None
        Seed; the same one gives the same data.

    Returns
    -------
    Planted
        Every user and every item has at least one rating, if there are enough ratings for that.

    Raises
    ------
    InputError
        If a number is out of range, or not exactly one of `n_ratings` and `density` is given.
    """
    for name, value in (("n_users", n_users), ("n_items", n_items), ("n_components", n_components)):
        check_number(name, value, minimum=1, integer=True)
    for name, scale in (("noise", noise), ("popularity", popularity), ("activity", activity)):
        check_number(name, scale, minimum=0)
    check_number("mean", mean, minimum=0, exclusive=True)
    n = _count(n_users * n_items, n_ratings, density)
    key = random_key(random_state)
    W, H = _factors(key, n_users, n_items, n_components, mean)
    cells = _draw_cells(key, n_users, n_items, n, popularity, activity)
    users, items = np.divmod(cells, n_items)
    exact = np.einsum("rk,rk->r", W[users], H[items])
    values = np.maximum(0.0, exact + noise * generator(key, _NOISE).standard_normal(n))
    return Planted(users, items, values, W, H, noise)


def _count(n_cells: int, n_ratings: int | None, density: float | None) -> int:
    if (n_ratings is None) == (density is None):
        raise InputError(f"give exactly one of n_ratings and density, got {n_ratings!r} and {density!r}")
    if density is not None:
        check_number("density", density, minimum=0, maximum=1, exclusive=True)
        return max(1, round(density * n_cells))
    check_number("n_ratings", n_ratings, minimum=1, maximum=n_cells, integer=True)
    return int(n_ratings or 0)


def _factors(key: int, n_users: int, n_items: int, n_components: int, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """Gamma-distributed W and H, scaled so that the entries of W Hᵀ average `mean`."""
    rng = generator(key, _FACTORS)
    W = rng.gamma(1.0, 1.0, (n_users, n_components))
    H = rng.gamma(1.0, 1.0, (n_items, n_components))
    scale = np.sqrt(mean / (W.mean(axis=0) * H.mean(axis=0)).sum())
    return W * scale, H * scale


def _draw_cells(key: int, n_users: int, n_items: int, n: int, popularity: float, activity: float) -> np.ndarray:
    """Draw n distinct cells u * n_items + i, sorted: first one for each user and item, then by weight."""
    rng = generator(key, _PAIRS)
    user_weight = np.cumsum(np.exp(activity * rng.standard_normal(n_users)))
    item_weight = np.cumsum((1.0 + rng.permutation(n_items)) ** -popularity)
    longest = np.arange(max(n_users, n_items))
    cover = rng.permutation(n_users)[longest % n_users] * n_items + rng.permutation(n_items)[longest % n_items]
    cells = np.sort(cover[:n])
    for _ in range(_ROUNDS):
        missing = n - len(cells)
        if missing == 0:
            return cells
        drawn = _weighted(rng, user_weight, 2 * missing) * n_items + _weighted(rng, item_weight, 2 * missing)
        new = _new(drawn, cells)
        cells = np.sort(np.concatenate([cells, rng.permutation(new)[:missing]]))
    # Nearly full: what is left are rare users' rare items, which chance would take forever to hit.
    rest = _new(np.arange(n_users * n_items), cells)
    return np.sort(np.concatenate([cells, rng.permutation(rest)[: n - len(cells)]]))


def _new(drawn: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Those drawn cells, each once, that are not among the sorted `cells` yet."""
    ordered = np.sort(drawn)  # several times faster than the hash table behind np.unique
    ordered = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    nearest = np.minimum(np.searchsorted(cells, ordered), len(cells) - 1)
    new: np.ndarray = ordered[cells[nearest] != ordered]
    return new


def _weighted(rng: np.random.Generator, cumulative: np.ndarray, n: int) -> np.ndarray:
    """Draw n indices in proportion to weights whose running sum is given."""
    drawn: np.ndarray = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
    return drawn
