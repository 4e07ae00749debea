import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import EMPTY_USER, small_ratings

from nmf_scratch._check import InputError
from nmf_scratch.fitted import top_n as kernels
from nmf_scratch.fitted.top_n import NONE, sort_heap, top_n

N_ITEMS = 2 * kernels.TILE + kernels.CHUNK + 3
"""Two full tiles, then a full chunk and one that is cut short."""


def naive(W, H, n, seen=None, rows=None, allowed=None):
    """Sort all scores of each user, strike out what may not be listed, and cut: a list of codes per user."""
    scores, lists = np.asarray(W, dtype=np.float64) @ np.asarray(H, dtype=np.float64).T, []
    for u, row in enumerate(range(len(W)) if rows is None else rows):
        may = np.isfinite(scores[u]) if allowed is None else np.isfinite(scores[u]) & allowed
        if seen is not None and row != NONE:
            may[seen.indices[seen.indptr[row] : seen.indptr[row + 1]]] = False
        lists.append([i for i in np.argsort(-scores[u], kind="stable") if may[i]][:n])
    return lists


def listed(items):
    """Return lists of codes, after a check that nothing comes after the end of one."""
    assert ((items[:, 1:] == NONE) | (items[:, :-1] != NONE)).all()
    return [row[row != NONE].tolist() for row in items]


def whole_numbers(seed, rows, k=3, dtype=np.float32):
    """Small whole numbers: their products are exact and full of ties."""
    return np.random.default_rng(seed).integers(0, 3, size=(rows, k)).astype(dtype)


def many_seen(seed, n_users=40, n_items=N_ITEMS):
    """Ratings of almost everything by some users; user `EMPTY_USER` has none, user 7 all but one item's."""
    ratings = small_ratings(seed, n_users, n_items, density=0.8)
    assert ratings.user_counts[EMPTY_USER] == 0
    return ratings.by_user


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 10, 1000])
@pytest.mark.parametrize("k", [1, 4, 6])
def test_lists_are_a_full_sort_cut_short(dtype, n, k):
    W, H, seen = whole_numbers(0, 40, k, dtype), whole_numbers(1, N_ITEMS, k, dtype), many_seen(2)
    allowed = np.random.default_rng(3).random(N_ITEMS) < 0.7
    for options in ({}, {"seen": seen}, {"allowed": allowed}, {"seen": seen, "allowed": allowed}):
        items, scores = top_n(W, H, n, **options)
        assert listed(items) == naive(W, H, n, **options)
        assert scores.dtype == dtype
        expected = np.where(items == NONE, -np.inf, np.take_along_axis(W @ H.T, items, axis=1))
        np.testing.assert_array_equal(scores, expected)


@settings(deadline=None)
@given(st.data())
def test_any_scores_any_length_any_seen(data):
    n_items = data.draw(st.integers(1, 30))
    levels = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, -np.inf, np.inf, np.nan])
    H = np.array(data.draw(st.lists(levels, min_size=n_items, max_size=n_items)))[:, None]
    seen = small_ratings(data.draw(st.integers(0, 9)), 6, max(n_items, 4)).by_user
    kept = seen.indices < n_items
    indptr = np.concatenate([[0], np.cumsum(kept)])[seen.indptr]
    seen = seen._replace(indptr=indptr, indices=seen.indices[kept], values=seen.values[kept])
    rows = data.draw(st.lists(st.integers(-1, 5), max_size=7))
    n, W = data.draw(st.integers(0, 40)), np.ones((len(rows), 1))
    with np.errstate(invalid="ignore"):  # infinity times the zeros that pad W, where kernels are plain Python
        items, _ = top_n(W, H, n, seen=seen, rows=np.array(rows, dtype=int))
        assert listed(items) == naive(W, H, n, seen, rows)


def test_by_hand():
    W = np.array([[1.0, 0.0], [0.0, 1.0]])
    H = np.array([[3.0, 1.0], [2.0, 5.0], [9.0, 0.0], [3.0, 5.0]])
    items, scores = top_n(W, H, 3)
    assert items.tolist() == [[2, 0, 3], [1, 3, 0]]  # ties, of 0 and 3 and of 1 and 3, go to the lower code
    assert scores.tolist() == [[9.0, 3.0, 3.0], [5.0, 5.0, 1.0]]


def test_who_has_seen_everything_gets_nothing_and_who_has_seen_nothing_a_full_list():
    ratings = small_ratings(1)
    W, H = whole_numbers(4, 3), whole_numbers(5, ratings.n_items)
    everything = ratings.by_user._replace(
        indptr=np.array([0, ratings.n_items, ratings.n_items]), indices=np.arange(ratings.n_items)
    )
    items, scores = top_n(W, H, 4, seen=everything, rows=np.array([0, 1, NONE]))
    assert (items[0] == NONE).all()
    assert (scores[0] == -np.inf).all()
    assert listed(items[1:]) == naive(W[1:], H, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neither_blocks_nor_threads_nor_company_change_a_bit(dtype):
    rng = np.random.default_rng(1)
    n_users = 2 * kernels.BLOCK + 5
    W, H = rng.random((n_users, 13)).astype(dtype), rng.random((N_ITEMS, 13)).astype(dtype)
    seen = small_ratings(3, n_users, N_ITEMS).by_user
    one, two = (top_n(W, H, 7, seen=seen, n_threads=n_threads) for n_threads in (1, 2))
    order = rng.permutation(n_users)
    shuffled = top_n(W[order], H, 7, seen=seen, rows=order)
    alone = [top_n(W[[u]], H, 7, seen=seen, rows=np.array([u])) for u in range(6)]
    for part in (0, 1):
        np.testing.assert_array_equal(two[part], one[part])
        np.testing.assert_array_equal(shuffled[part], one[part][order])
        np.testing.assert_array_equal(np.vstack([lists[part] for lists in alone]), one[part][:6])


def test_both_ways_through_the_blocks_agree_with_the_naive_lists():
    n_users = kernels.BLOCK + 3
    W, H, seen = whole_numbers(6, n_users), whole_numbers(7, 20), small_ratings(4, n_users, 20).by_user
    expected = naive(W, H, 5, seen)
    assert listed(top_n(W, H, 5, seen=seen)[0]) == expected
    few = kernels.BLOCK
    assert listed(top_n(W[:few], H, 5, seen=seen)[0]) == expected[:few]


def test_factors_may_differ_in_type_and_layout():
    W, H = whole_numbers(8, 5), whole_numbers(9, 12, dtype=np.float64)
    items, scores = top_n(np.asfortranarray(W), np.asfortranarray(H), 4)
    assert listed(items) == naive(W, H, 4)
    assert scores.dtype == np.float64


@given(st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.0]), max_size=20))
def test_a_sorted_heap_is_the_heap_best_first(scores):
    items, ascending = np.arange(len(scores))[::-1].copy(), np.sort(scores)  # worst first is a heap: ties by code
    sort_heap(items, ascending)
    assert ascending.tolist() == sorted(scores, reverse=True)
    assert items.tolist() == list(range(len(scores)))


@pytest.mark.parametrize(("n_users", "n_items", "n"), [(0, 3, 5), (3, 0, 5), (3, 3, 0), (300, 3, 0)])
def test_nobody_to_recommend_to_or_nothing_to_recommend(n_users, n_items, n):
    items, scores = top_n(np.ones((n_users, 2)), np.ones((n_items, 2)), n)
    assert items.shape == scores.shape == (n_users, min(n, n_items))


@pytest.mark.parametrize(
    ("n_columns", "options", "message"),
    [
        (3, {}, "W, H and allowed"),
        (2, {"allowed": np.ones(9, dtype=bool)}, "W, H and allowed"),
        (2, {"seen": small_ratings(0, 6, 8).by_user}, "seen and rows"),
        (2, {"seen": small_ratings(0).by_user, "rows": np.array([23] * 7)}, "seen and rows"),
        (2, {"seen": small_ratings(0).by_user, "rows": np.array([1])}, "seen and rows"),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(n_columns, options, message):
    with pytest.raises(InputError, match=message):
        top_n(np.ones((7, n_columns)), np.ones((8, 2)), 3, **options)


def test_the_number_of_threads_is_checked():
    with pytest.raises(InputError, match="n_threads"):
        top_n(np.ones((kernels.BLOCK + 1, 2)), np.ones((8, 2)), 3, n_threads=0)
