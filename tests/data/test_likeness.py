from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from nmf_scratch.data.activity import coded
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.likeness import FEWEST_COMMON, SHRINK_ITEMS, SHRINK_USERS, item_graph, user_likeness


def scattered(n_users, n_items, density=0.6, seed=0):
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(rng.random(n_users * n_items) < density)
    values = rng.integers(1, 6, len(cells)).astype(float)
    return Dataset("scattered", pd.DataFrame({"user": cells // n_items, "item": cells % n_items, "rating": values}))


def naive_similarity(table, a, b, shrink):
    """Return the shrunk correlation of two columns over the rows that have both, and how many those are."""
    both = table[[a, b]].dropna()
    if len(both) < 2 or both[a].std() == 0 or both[b].std() == 0:
        return 0.0, len(both)
    return len(both) / (len(both) + shrink) * both[a].corr(both[b]), len(both)


def test_ties_are_shrunk_correlations_of_what_is_left_without_the_users_means():
    data = scattered(80, 9)
    table = data.ratings.pivot_table(index="user", columns="item", values="rating")
    residuals = table.sub(table.mean(axis=1), axis=0)
    items, ties = item_graph(coded(data), n_items=9, n_partners=2)
    assert list(items) == list(table.count().sort_values(ascending=False, kind="stable").index)
    full = {frozenset((a, b)): naive_similarity(residuals, a, b, SHRINK_ITEMS) for a, b in combinations(items, 2)}
    expected = set()
    for a in items:
        partners = sorted((b for b in items if b != a), key=lambda b: -full[frozenset((a, b))][0])[:2]
        expected |= {frozenset((a, b)) for b in partners if full[frozenset((a, b))][0] > 0}
    found = {frozenset((items[tie.a], items[tie.b])): tie for tie in ties.itertuples()}
    assert found.keys() == expected
    for pair, tie in found.items():
        assert tie.a < tie.b
        assert (tie.similarity, tie.common) == (pytest.approx(full[pair][0]), full[pair][1])


def test_items_that_nobody_rated_together_are_not_tied():
    ratings = pd.DataFrame({"user": [1, 2, 3], "item": ["a", "b", "c"], "rating": [1.0, 2.0, 3.0]})
    items, ties = item_graph(coded(Dataset("apart", ratings)))
    assert len(items) == 3
    assert ties.empty


def test_users_are_compared_in_what_is_left_without_the_items_means():
    data = scattered(12, 40)
    table = data.ratings.pivot_table(index="item", columns="user", values="rating")
    residuals = table.sub(table.mean(axis=1), axis=0)
    found = user_likeness(coded(data), n_users=12)
    pairs = [naive_similarity(residuals, a, b, SHRINK_USERS) for a, b in combinations(range(12), 2)]
    assert found.n_users == 12
    assert list(found.common) == [n for _, n in pairs]
    np.testing.assert_allclose(found.similarity, [s for s, n in pairs if n >= FEWEST_COMMON], atol=1e-12)


def test_chance_keeps_what_each_item_got_and_nothing_of_who_gave_it():
    """Two camps, which rate every film the other way round: far more alike than chance."""
    rng = np.random.default_rng(3)
    camp, taste = np.repeat([1, -1], 20), rng.choice([-1, 1], 60)
    table = 3 + np.outer(camp, taste)
    users, items = np.indices(table.shape)
    data = pd.DataFrame({"user": users.ravel(), "item": items.ravel(), "rating": table.ravel() * 1.0})
    found = user_likeness(coded(Dataset("camps", data)))
    strength = 60 / (60 + SHRINK_USERS)
    np.testing.assert_allclose(np.abs(found.similarity), strength)
    assert np.abs(found.chance).max() < 0.6 * strength
    assert found.chance.std() == pytest.approx(strength / np.sqrt(60), rel=0.2)


def test_of_many_users_the_same_ones_are_drawn_each_time(demo):
    ratings = coded(demo)
    one, two = (user_likeness(ratings, n_users=50) for _ in range(2))
    assert len(one.common) == 50 * 49 // 2
    np.testing.assert_array_equal(one.chance, two.chance)
