import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import small_ratings

from nmf_scratch import recommendation
from nmf_scratch.recommendation import best_of, rows_of, top_n


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, -np.inf]), min_size=1, max_size=30), st.integers(1, 40))
def test_best_of_is_a_full_sort_cut_short(scores, n):
    scores = np.array(scores)
    expected = [position for position in np.argsort(-scores, kind="stable") if np.isfinite(scores[position])][:n]
    assert best_of(scores, n).tolist() == expected


def test_top_n_by_hand():
    W = np.array([[1.0, 0.0], [0.0, 1.0]])
    H = np.array([[3.0, 1.0], [2.0, 5.0], [9.0, 0.0], [3.0, 5.0]])
    (items, scores), (other, _) = top_n(W, H, 3)
    assert items.tolist() == [2, 0, 3]  # the tie of 0 and 3 goes to the lower code
    assert scores.tolist() == [9.0, 3.0, 3.0]
    assert other.tolist() == [1, 3, 0]


def test_seen_and_disallowed_items_are_left_out_and_lists_get_shorter():
    ratings = small_ratings(1)
    rng = np.random.default_rng(0)
    W, H = rng.random((ratings.n_users, 3)), rng.random((ratings.n_items, 3))
    allowed = ratings.item_counts > 0
    for user, (items, scores) in enumerate(top_n(W, H, 100, seen=ratings.by_user, allowed=allowed)):
        seen = set(ratings.items[ratings.users == user].tolist())
        assert set(items.tolist()) == set(np.flatnonzero(allowed).tolist()) - seen
        assert (np.diff(scores) <= 0).all()


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(1)
    W, H = rng.random((17, 3)), rng.random((11, 3))
    whole = [items.tolist() for items, _ in top_n(W, H, 4)]
    monkeypatch.setattr(recommendation, "BLOCK_CELLS", 25)
    assert [items.tolist() for items, _ in top_n(W, H, 4)] == whole


def test_rows_of_picks_rows_in_order_and_knows_nothing_of_strangers():
    view = small_ratings(2).by_user
    picked = rows_of(view, np.array([4, -1, 2]))
    for place, row in enumerate([4, None, 2]):
        got = picked.indices[picked.indptr[place] : picked.indptr[place + 1]]
        expected = [] if row is None else view.indices[view.indptr[row] : view.indptr[row + 1]]
        np.testing.assert_array_equal(got, expected)


def test_nobody_to_recommend_to():
    assert list(top_n(np.ones((0, 2)), np.ones((3, 2)), 5)) == []
    with pytest.raises(StopIteration):
        next(top_n(np.ones((0, 2)), np.ones((3, 2)), 5))
