"""Synthetic ratings by the hundred million: long-tailed, of known rank, made in seconds, and in bounded memory.

`nmf_scratch.data.synthetic.planted_ratings` sorts all pairs at once; that takes several times the memory of the
ratings. Here users come in chunks, and each one is served from beginning to end:

- *How many.* The logarithms of the users' activities are normal; the counts follow them, are cut at a share of all
  items, and add up to what was asked for.
- *Which.* A user draws items by inverse transform: a uniform number falls into one step of the running sum of the
  popularities, item r having r^(−0.8) (Zipf's law). A guide table (Chen & Asau 1974) says where to start looking, so a
  draw costs about one comparison. An item drawn before is passed over: that is drawing without replacement.
- *How many draws that takes.* Of m draws, Σ_i 1 − (1 − p_i)^m are expected to be distinct. This is tabulated once and
  read backwards, with a few in reserve; who still runs out of draws gets a little less than asked for.
- *What rating.* w_u · h_i of planted gamma factors, with noise, rounded to half stars; in the end everything is
  divided by its mean, as training does.

Everything random comes from NumPy's generators, outside the kernels. Same arguments, same ratings.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch import Ratings
from nmf_scratch._jit import kernel

CHUNK = 2**20
"""Ratings made at once, about."""

PLANTED_RANK, NOISE = 8, 0.8
POPULARITY, ACTIVITY = 0.8, 1.0
LARGEST_SHARE = 0.25
"""Of all items, what the busiest user rates at most."""


class Catalogue(NamedTuple):
    """The items: running sum of their popularities, guide table, and which were drawn already.

    Attributes
    ----------
    cumulative : ndarray, shape (n_items,)
        Ends in 1.
    guide : ndarray of int32, shape (n_guides,)
        For g, the first item that a number in [g, g + 1) / n_guides may fall to.
    drawn_by : ndarray of int64, shape (n_items,)
        Last user, counted from 1, that drew the item; overwritten.
    """

    cumulative: NDArray[np.float64]
    guide: NDArray[np.int32]
    drawn_by: NDArray[np.int64]


def large_ratings(n_users: int, n_items: int, n_ratings: int, *, seed: int = 0) -> Ratings:
    """Draw ratings with a mean of 1, sorted by (user, item), no pair twice.

    Parameters
    ----------
    n_users, n_items : int
        Shape.
    n_ratings : int
        How many; a few in a million less come out.
    seed : int
        Same seed, same ratings.

    Returns
    -------
    Ratings
    """
    rng = np.random.default_rng(seed)
    popularity = zipf(n_items, rng)
    counts = user_counts(n_users, n_items, n_ratings, rng)
    tries = draws_for(counts, popularity)
    users, items = (np.empty(n_ratings, np.int32) for _ in range(2))
    values = np.empty(n_ratings, np.float32)
    factors = tuple(rng.gamma(1.0, 1.0, (rows, PLANTED_RANK)).astype(np.float32) for rows in (n_users, n_items))
    catalogue = into_catalogue(popularity)
    end = 0
    for first, last in chunks(counts):
        part = slice(first, last)
        uniforms = rng.random(tries[part].sum())
        found = draw_items(counts[part], tries[part], uniforms, catalogue, first, items[end:])
        new = slice(end, end + found.sum())
        users[new] = np.repeat(np.arange(first, last, dtype=np.int32), found)
        values[new] = rng.standard_normal(found.sum(), dtype=np.float32)
        rate(users[new], items[new], *factors, np.float32(NOISE), values[new])
        end = new.stop
    values = values[:end]
    values /= np.float32(values.mean(dtype=np.float64))
    return Ratings(users[:end], items[:end], values, n_users, n_items)


def zipf(n_items: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the probability of each item; which code is popular is up to chance."""
    weights = (1.0 + rng.permutation(n_items)) ** -POPULARITY
    return weights / weights.sum()


def user_counts(n_users: int, n_items: int, n_ratings: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how many items each user rates, shape (n_users,): log-normal, at least one, `n_ratings` together."""
    weights = np.exp(ACTIVITY * rng.standard_normal(n_users))
    most = max(1, int(LARGEST_SHARE * n_items))
    low, high = 0.0, float(n_ratings)
    for _ in range(100):  # the factor that brings the cut counts to the wanted sum, by bisection
        middle = (low + high) / 2
        too_many = np.clip(middle * weights, 1, most).sum() > n_ratings
        low, high = (low, middle) if too_many else (middle, high)
    running = np.rint(np.cumsum(np.clip(low * weights, 1, most)))
    running[-1] = n_ratings
    return np.diff(running, prepend=0).astype(np.int64)


def draws_for(counts: NDArray[np.int64], popularity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many draws give so many distinct items, three standard deviations on the safe side."""
    draws = np.unique(np.geomspace(1, 64 * len(popularity), 300).astype(np.int64))
    distinct = np.array([-np.expm1(m * np.log1p(-popularity)).sum() for m in draws])
    return np.ceil(np.interp(counts + 3 * np.sqrt(counts), distinct, draws)).astype(np.int64) + 1


def into_catalogue(popularity: NDArray[np.float64]) -> Catalogue:
    """Prepare the inverse transform, with four guides per item."""
    cumulative = np.cumsum(popularity)
    cumulative[-1] = 1.0
    n_guides = 4 * len(popularity)
    guide = np.searchsorted(cumulative, np.arange(n_guides) / n_guides, side="right").astype(np.int32)
    return Catalogue(cumulative, guide, np.zeros(len(popularity), np.int64))


def chunks(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut users into runs of about `CHUNK` ratings."""
    ends = np.searchsorted(np.cumsum(counts), np.arange(CHUNK, counts.sum(), CHUNK))
    edges = np.unique([0, *ends, len(counts)]).tolist()
    return list(pairwise(edges))


@kernel
def draw_items(
    counts: NDArray[np.int64],
    tries: NDArray[np.int64],
    uniforms: NDArray[np.float64],
    catalogue: Catalogue,
    first_user: int,
    items: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Draw the items of consecutive users into `items`, ascending; return how many each one got, shape (n_users,)."""
    cumulative, guide, drawn_by = catalogue
    found = np.zeros_like(counts)
    place, used = 0, 0
    for u in range(len(counts)):
        begin = place
        for t in range(used, used + tries[u]):
            item = guide[int(uniforms[t] * len(guide))]
            while cumulative[item] <= uniforms[t]:
                item += 1
            if drawn_by[item] != first_user + u + 1:
                drawn_by[item] = first_user + u + 1
                items[place] = item
                place += 1
                if place == begin + counts[u]:
                    break
        used += tries[u]
        found[u] = place - begin
        items[begin:place].sort()
    return found


@kernel
def rate(
    users: NDArray[np.int32], items: NDArray[np.int32], W: NDArray[Any], H: NDArray[Any], noise: Any, values: Any
) -> None:
    """Turn standard normal `values` into ratings in place: half stars from 0.5 to 5, around 1.5 + 1.5 · planted."""
    for p in range(len(values)):
        planted = noise - noise
        for f in range(W.shape[1]):
            planted += W[users[p], f] * H[items[p], f]
        stars = 1.5 + 1.5 * planted / W.shape[1] + noise * values[p]  # planted entries have a mean of one per factor
        values[p] = min(max(np.rint(2 * stars) / 2, 0.5), 5.0)
