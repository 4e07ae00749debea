"""The built-in `demo` data: an invented film club whose tastes are known.

600 members rate 500 films that do not exist, in the schema of ml-100k. Everything about it is planted:

- Six *tastes* (`TASTES`), each fond of some genres. A film's loadings H come from its genres, a member's weights W
  from age, gender and occupation, with chance on top. Both are non-negative.
- A rating is b_u + c_i + w_u·h_i + noise, rounded to 1 … 5 stars; the noise has a standard deviation of `NOISE`.
- Members see popular films, and rather those to their taste, so the ratings are not a random sample of the matrix.

A factorisation can therefore be held against the truth (`demo_truth`): how near it comes to the noise, and whether
its factors are the tastes. The data are the same on every machine: all draws come from Philox under one key, and the
sums behind a rating are taken in fixed order, without BLAS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from nmf_scratch._random import generator
from nmf_scratch.data.dataset import Dataset

N_USERS, N_ITEMS = 600, 500
NOISE = 0.6
"""Standard deviation of the noise, in stars, before rounding."""

_KEY = 19971998
_USERS, _ITEMS, _WEIGHTS, _LOADINGS, _BIASES, _SEEN, _NOISE, _TIMES, _ORDER, _TITLES = range(100, 110)
_FIRST_DAY = 1_631_232_000  # 10 September 2021, UTC
_DAYS = 214  # about seven months
_FEWEST, _MOST, _TYPICAL = 20, 260, 50  # ratings per user


class Taste(NamedTuple):
    """A taste: how fond it is of genres, and the words that its films are named with."""

    genres: dict[str, float]
    adjectives: str
    nouns: str


TASTES: dict[str, Taste] = {
    "adrenaline": Taste(
        {"Action": 1.0, "Adventure": 0.7, "Thriller": 0.5, "War": 0.5, "Western": 0.6},
        "Burning Broken Furious Restless Scarlet Reckless Thundering Iron Desperate Final",
        "Frontier Convoy Canyon Brigade Pursuit Bridge Stampede Signal Ambush Outpost Rider Summit",
    ),
    "family": Taste(
        {"Animation": 1.0, "Children's": 1.0, "Musical": 0.5, "Fantasy": 0.3, "Adventure": 0.3},
        "Merry Little Curious Golden Whistling Clumsy Marvellous Paper Tiny Wandering",
        "Hedgehog Lighthouse Balloon Orchard Otter Carousel Kite Tinker Snowman Piper Bakery Puppet",
    ),
    "hearts": Taste(
        {"Romance": 1.0, "Comedy": 0.8, "Musical": 0.5, "Drama": 0.3},
        "Tender Improbable Borrowed Secret Hasty Velvet Second Sunday Crooked Late",
        "Wedding Letter Waltz Promise Engagement Serenade Neighbour Bouquet Summer Proposal Postcard Duet",
    ),
    "shadows": Taste(
        {"Crime": 1.0, "Film-Noir": 1.0, "Mystery": 0.9, "Thriller": 0.6},
        "Silent Hollow Crimson Vanished Midnight Forged Narrow Smoky Seventh Nameless",
        "Harbour Witness Alibi Corridor Ledger Staircase Accomplice Verdict Alley Cellar Informer Portrait",
    ),
    "elsewhere": Taste(
        {"Sci-Fi": 1.0, "Fantasy": 0.8, "Horror": 0.7},
        "Distant Glass Last Orbital Frozen Sleeping Electric Drowned Infinite Pale",
        "Moon Colony Machine Oracle Comet Citadel Specimen Archive Planet Beacon Swarm Labyrinth",
    ),
    "earnest": Taste(
        {"Drama": 1.0, "Documentary": 0.9, "War": 0.5},
        "Quiet Unfinished Bitter Patient Forgotten Long Autumn Stony Common Divided",
        "Harvest Village Inheritance Testimony Winter River Century Teacher Journey Mine Daughter Silence",
    ),
}
_PLACES = "Harrow_Vale Port_Ellery Marlow_Heath Saint_Osric Dunmere Kestrel_Bay Ashcombe Vantry Old_Tarn Lindow"
GENRES = tuple(sorted({genre for taste in TASTES.values() for genre in taste.genres}))

_FOND = {  # how much more (or less) of each taste, in the order of TASTES
    "young": (1.6, 1.0, 0.8, 0.9, 2.0, 0.5),
    "middle": (1.0, 1.4, 1.1, 1.1, 0.9, 1.0),
    "old": (0.5, 0.7, 1.3, 1.4, 0.4, 1.9),
    "M": (1.5, 0.8, 0.6, 1.1, 1.3, 0.9),
    "F": (0.6, 1.2, 1.8, 0.9, 0.8, 1.1),
}
_FOND_BY_WORK = {
    "programmer": (1.1, 0.9, 0.7, 1.0, 2.0, 0.7),
    "engineer": (1.2, 0.9, 0.7, 1.0, 1.7, 0.8),
    "educator": (0.6, 1.3, 1.0, 1.0, 0.7, 1.7),
    "writer": (0.5, 0.7, 1.2, 1.8, 1.0, 1.4),
    "artist": (0.5, 1.3, 1.3, 1.2, 1.2, 1.2),
    "homemaker": (0.6, 2.2, 1.5, 0.9, 0.5, 0.9),
    "executive": (1.4, 0.8, 0.9, 1.3, 0.8, 0.9),
    "librarian": (0.4, 1.1, 1.3, 1.7, 0.9, 1.4),
    "technician": (1.6, 0.9, 0.7, 1.0, 1.4, 0.7),
    "other": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}


@dataclass(frozen=True)
class DemoTruth:
    """What the demo ratings were drawn from, in encoded order (ids 1, 2, … become rows 0, 1, …); unit: stars.

    Attributes
    ----------
    W, H : ndarray, shapes (n_users, 6) and (n_items, 6)
        Non-negative weights of the tastes, one column per entry of `TASTES`.
    user_bias, item_bias : ndarray, shapes (n_users,) and (n_items,)
        Non-negative offsets.
    noise : float
        Standard deviation of the noise before rounding to whole stars.
    """

    W: np.ndarray
    H: np.ndarray
    user_bias: np.ndarray
    item_bias: np.ndarray
    noise: float = NOISE

    def expected(self) -> np.ndarray:
        """Return b_u + c_i + w_u·h_i for all pairs, shape (n_users, n_items), not clipped to the scale."""
        taste = np.einsum("uk,ik->ui", self.W, self.H, optimize=False)  # no BLAS: the same sums everywhere
        expected: np.ndarray = self.user_bias[:, None] + self.item_bias + taste
        return expected


def make_demo() -> Dataset:
    """Return the demo data set: about 40,000 ratings of 1 to 5 stars, at least 20 by each user.

    Returns
    -------
    Dataset
        ``ratings`` with timestamps, ``users`` with age, gender, occupation and zip, ``items`` with title, year and
        genres.
    """
    users, items = _make_users(), _make_items()
    truth = _plant(users, items)
    expected = truth.expected()
    user, item = np.nonzero(_choose_seen(expected))  # sorted by user
    noisy = expected[user, item] + NOISE * generator(_KEY, _NOISE).standard_normal(len(user))
    ratings = pd.DataFrame(
        {
            "user": user + 1,
            "item": item + 1,
            "rating": np.clip(np.rint(noisy), 1.0, 5.0),
            "timestamp": _make_times(user),
        }
    )
    order = generator(_KEY, _ORDER).permutation(len(ratings))  # ml-100k is shuffled, too
    return Dataset(
        name="demo",
        ratings=ratings.iloc[order].reset_index(drop=True),
        users=users,
        items=items,
        citation="generated by nmf-scratch",
        licence="MIT, like the package",
        source="generated",
    )


def demo_truth() -> DemoTruth:
    """Return the planted factors and biases that the demo ratings were drawn from."""
    return _plant(_make_users(), _make_items())


def _make_users() -> pd.DataFrame:
    rng = generator(_KEY, _USERS)
    age = np.clip(np.rint(13 + rng.gamma(2.6, 8.5, N_USERS)), 13, 75).astype(np.int64)
    occupation = rng.choice(list(_FOND_BY_WORK), N_USERS)
    occupation = np.where(age < 23, "student", np.where(age > 64, "retired", occupation))
    return pd.DataFrame(
        {
            "user": np.arange(1, N_USERS + 1),
            "age": age,
            "gender": np.where(rng.random(N_USERS) < 0.64, "M", "F"),
            "occupation": occupation,
            "zip": [f"{code:05d}" for code in rng.integers(1000, 99999, N_USERS)],
        }
    )


def _make_items() -> pd.DataFrame:
    rng = generator(_KEY, _ITEMS)
    taste = rng.choice(len(TASTES), N_ITEMS, p=[0.2, 0.12, 0.22, 0.15, 0.13, 0.18])
    genres = [_draw_genres(rng, t) for t in taste]
    old = np.array(["Film-Noir" in names or "Western" in names for names in genres])
    age = np.where(old, 25 + rng.gamma(3.0, 9.0, N_ITEMS), rng.gamma(1.3, 11.0, N_ITEMS))
    year = np.clip(2021 - age.astype(np.int64), 1931, 2021)
    names = [_draw_titles(t) for t in range(len(TASTES))]
    titles = [f"{names[t].pop()} ({y})" for t, y in zip(taste, year, strict=True)]
    return pd.DataFrame(
        {
            "item": np.arange(1, N_ITEMS + 1),
            "title": titles,
            "year": pd.array(year, dtype="Int64"),
            "genres": ["|".join(sorted(names)) for names in genres],
        }
    )


def _draw_genres(rng: np.random.Generator, taste: int) -> set[str]:
    """One to three genres, the first few of the film's own taste, now and then one from anywhere."""
    own = list(TASTES.values())[taste].genres
    weights = np.array(list(own.values()))
    n_genres = min(1 + rng.binomial(2, 0.4), len(own))
    drawn = rng.choice(list(own), size=n_genres, replace=False, p=weights / weights.sum())
    stray = rng.choice(GENRES, size=int(rng.random() < 0.15))
    return {*drawn.tolist(), *stray.tolist()}


def _draw_titles(taste: int) -> list[str]:
    """Every title that the words of one taste make, shuffled; more than there are films."""
    words = list(TASTES.values())[taste]
    nouns = words.nouns.split()
    titles = [f"The {adjective} {noun}" for adjective in words.adjectives.split() for noun in nouns]
    titles += [f"The {noun} of {place.replace('_', ' ')}" for place in _PLACES.split() for noun in nouns]
    return [titles[i] for i in generator(_KEY, _TITLES, epoch=taste).permutation(len(titles))]


def _plant(users: pd.DataFrame, items: pd.DataFrame) -> DemoTruth:
    rng = generator(_KEY, _BIASES)
    return DemoTruth(
        W=_weights(users),
        H=_loadings(items),
        user_bias=np.clip(0.9 + 0.35 * rng.standard_normal(N_USERS), 0, None),
        item_bias=np.clip(1.2 + 0.40 * rng.standard_normal(N_ITEMS), 0, None),
    )


def _weights(users: pd.DataFrame) -> np.ndarray:
    """Members' weights W >= 0, shape (n_users, 6): demographics set the mean, chance the rest."""
    band = np.where(users["age"] < 26, "young", np.where(users["age"] < 48, "middle", "old"))
    fond = np.array([_FOND[b] for b in band]) * np.array([_FOND[g] for g in users["gender"]])
    fond *= np.array([_FOND_BY_WORK.get(work, _FOND_BY_WORK["other"]) for work in users["occupation"]])
    drawn = fond * generator(_KEY, _WEIGHTS).gamma(1.2, 1.0, fond.shape)
    weights: np.ndarray = 3.6 * drawn / (drawn.sum(axis=1, keepdims=True) + 0.5)
    return weights


def _loadings(items: pd.DataFrame) -> np.ndarray:
    """Films' loadings H >= 0, shape (n_items, 6): the fondness of each taste for the film's genres, varied."""
    fondness = np.array([[taste.genres.get(genre, 0.0) for taste in TASTES.values()] for genre in GENRES])
    flags = np.array([[genre in names.split("|") for genre in GENRES] for names in items["genres"]], float)
    strength = generator(_KEY, _LOADINGS).gamma(8.0, 1 / 8.0, (N_ITEMS, 1))
    loadings = np.einsum("ig,gk->ik", flags, fondness, optimize=False) / np.sqrt(flags.sum(axis=1, keepdims=True))
    return np.asarray(1.15 * strength * loadings)


def _choose_seen(expected: np.ndarray) -> np.ndarray:
    """Who has seen what, shape (n_users, n_items) bool: by popularity, taste and chance."""
    rng = generator(_KEY, _SEEN)
    counts = np.clip(_TYPICAL * np.exp(0.75 * rng.standard_normal(N_USERS)), _FEWEST, _MOST).astype(np.int64)
    popularity = -0.75 * np.log(1 + rng.permutation(N_ITEMS) / 12)  # Zipf, flattened at its head
    # The largest of log weight + Gumbel noise are a draw without replacement in proportion to the weights.
    keys = popularity + 0.5 * expected + rng.gumbel(size=expected.shape)
    rank = np.argsort(np.argsort(-keys, axis=1), axis=1)
    seen: np.ndarray = rank < counts[:, None]
    return seen


def _make_times(user: np.ndarray) -> np.ndarray:
    """Unix seconds: each user rates in a few sessions, and in each a film every half minute or so."""
    rng = generator(_KEY, _TIMES)
    session = np.cumsum(rng.random(len(user)) < 1 / 35) + 10_000 * user  # a new number now and then, and for each user
    _, number, size = np.unique(session, return_inverse=True, return_counts=True)
    starts = _FIRST_DAY + rng.integers(0, _DAYS * 86_400, len(size))
    gaps = 5 + rng.exponential(25.0, len(user)).astype(np.int64)
    elapsed = np.cumsum(gaps)
    first = np.cumsum(size) - size
    return np.asarray(starts[number] + elapsed - elapsed[first[number]])
