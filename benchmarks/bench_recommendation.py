"""Top-10 lists over four thousand items, seen items left out: for every user, and for one at a time."""

import numpy as np
import pytest

from nmf_scratch.fitted.top_n import top_n
from nmf_scratch.problem.factors import scaled_start


@pytest.fixture(scope="module")
def factors(million):
    return scaled_start(million, 64, key=0)


@pytest.mark.benchmark(group="top-n")
@pytest.mark.parametrize("n_threads", [1, 2])
def bench_top_ten_of_all_users(per_second, million, factors, n_threads):
    def lists():
        return top_n(factors.W, factors.H, 10, seen=million.by_user, n_threads=n_threads)

    items, scores = lists()
    check(items[:500], scores[:500], million, factors)
    per_second(lists, million.n_users, "users")


@pytest.mark.benchmark(group="top-n")
def bench_top_ten_of_one_user(per_second, million, factors):
    def one():
        return top_n(factors.W[:1], factors.H, 10, seen=million.by_user)

    check(*one(), million, factors)
    per_second(one, 1, "users", iterations=20)


def check(items, scores, ratings, factors):
    """Compare with a full sort in float64, which may order scores that float32 cannot tell apart otherwise."""
    expected = factors.W[: len(items)].astype(np.float64) @ factors.H.T.astype(np.float64)
    seen = ratings.users < len(items)
    expected[ratings.users[seen], ratings.items[seen]] = -np.inf
    np.testing.assert_allclose(np.take_along_axis(expected, items, axis=1), scores, rtol=1e-5)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :10], rtol=1e-5)
