"""Rating metrics against scikit-learn; ranking metrics against scikit-learn, a plain loop, and numbers by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from nmf_scratch import InputError, Ratings
from nmf_scratch.evaluation import metrics
from nmf_scratch.evaluation.metrics import RANKING_METRICS, mae, mean_over_users, rmse, score_lists

PAIRS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=30)


@given(PAIRS)
def test_equal_to_scikit_learn(pairs):
    truth, predictions = np.array(pairs).T
    assert rmse(truth, predictions) == pytest.approx(oracle.root_mean_squared_error(truth, predictions), abs=1e-12)
    assert mae(truth, predictions) == pytest.approx(oracle.mean_absolute_error(truth, predictions), abs=1e-12)


def test_by_hand():
    assert rmse([1, 2], [4, 6]) == pytest.approx(np.sqrt(12.5))
    assert mae([1, 2], [4, 6]) == 3.5


@pytest.mark.parametrize("predictions", [[1.0], []])
def test_shapes_must_agree(predictions):
    with pytest.raises(InputError, match=r"of one shape \(n,\), got \(2,\) and"):
        rmse([1.0, 2.0], predictions)


def test_nothing_to_measure_is_an_error():
    with pytest.raises(InputError, match="non-empty"):
        mae([], [])


# Ranking


def ratings_of(gains):
    """Relevant pairs of a dense (n_users, n_items) table of gains; a gain of 0 is not stored."""
    return Ratings.from_dense(np.where(gains > 0, gains, np.nan))


@st.composite
def rankings(draw, graded):
    """Draw (lists, gains, k): each list a permutation of all items, one user at least with a relevant item."""
    n_users, n_items, k = draw(st.integers(1, 6)), draw(st.integers(2, 9)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    gains = rng.integers(0, 4 if graded else 2, size=(n_users, n_items)).astype(float)
    gains[0, 0] = 1.0
    return np.array([rng.permutation(n_items) for _ in range(n_users)]), gains, min(k, n_items)


def scores_of(order):
    """Return scores without ties that rank the items in this order."""
    scores = np.empty(len(order))
    scores[order] = np.arange(len(order), 0, -1)
    return scores


def assert_per_user(values, expected, gains):
    """Compare user by user; those without a relevant item must be NaN."""
    some = (gains > 0).any(axis=1)
    assert np.isnan(values[~some]).all()
    np.testing.assert_allclose(values[some], np.array(expected)[some], atol=1e-12)
    assert mean_over_users(values) == pytest.approx(np.array(expected)[some].mean())


@given(rankings(graded=True))
def test_ndcg_is_scikit_learn_s(case):
    lists, gains, k = case
    expected = [oracle.ndcg_score([g], [scores_of(order)], k=k) for g, order in zip(gains, lists, strict=True)]
    assert_per_user(metrics.ndcg(score_lists(lists, ratings_of(gains), k)), expected, gains)


@given(rankings(graded=False))
def test_average_precision_of_full_lists_is_scikit_learn_s(case):
    lists, gains, _ = case
    some = gains.any(axis=1)
    expected = np.zeros(len(lists))
    expected[some] = [
        oracle.average_precision_score(g, scores_of(order)) for g, order in zip(gains[some], lists[some], strict=True)
    ]
    assert_per_user(metrics.average_precision(score_lists(lists, ratings_of(gains), lists.shape[1])), expected, gains)


@given(rankings(graded=False))
def test_precision_and_recall_are_scikit_learn_s(case):
    lists, gains, k = case
    scored = score_lists(lists, ratings_of(gains), k)
    shown = np.zeros_like(gains)
    np.put_along_axis(shown, lists[:, :k], 1.0, axis=1)
    for ours, theirs in ((metrics.precision, oracle.precision_score), (metrics.recall, oracle.recall_score)):
        expected = [theirs(g, s, zero_division=0) for g, s in zip(gains, shown, strict=True)]
        assert_per_user(ours(scored), expected, gains)


def naive(order, liked, k):
    """All metrics of one list by their definitions, with loops and sets."""
    top = [item for item in order if item >= 0][:k]
    hits = [place for place, item in enumerate(top, start=1) if item in liked]
    dcg = sum(1 / np.log2(place + 1) for place in hits)
    best = sum(1 / np.log2(place + 1) for place in range(1, min(k, len(liked)) + 1))
    return {
        "precision": len(hits) / k,
        "recall": len(hits) / len(liked),
        "ndcg": dcg / best,
        "map": sum(count / place for count, place in enumerate(hits, start=1)) / min(k, len(liked)),
        "mrr": 1 / hits[0] if hits else 0.0,
        "hit_rate": float(bool(hits)),
    }


@given(rankings(graded=False), st.integers(0, 2**32))
def test_every_metric_is_its_definition_on_lists_that_end_early_too(case, seed):
    lists, gains, k = case
    k = k if seed % 2 else lists.shape[1] + 1  # fewer places than relevant items, and more places than any list has
    ends = np.random.default_rng(seed).integers(0, lists.shape[1] + 1, size=len(lists))
    lists = np.where(np.arange(lists.shape[1]) < ends[:, None], lists, -1)
    scored = score_lists(lists, ratings_of(gains), k)
    rows = [naive(order, set(np.flatnonzero(g)), k) if g.any() else {} for order, g in zip(lists, gains, strict=True)]
    for name, metric in RANKING_METRICS.items():
        assert_per_user(metric(scored), [row.get(name, np.nan) for row in rows], gains)


LISTS = np.array([[2, 0, 1], [3, -1, -1], [0, 1, 2]])
LIKED = ratings_of(np.array([[1.0, 0, 0, 1], [0, 2.0, 0, 1.0], [0, 0, 0, 0]]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("precision", [1 / 3, 1 / 3]),
        ("recall", [1 / 2, 1 / 2]),
        ("mrr", [1 / 2, 1]),
        ("map", [1 / 4, 1 / 2]),
        ("hit_rate", [1, 1]),
        ("ndcg", [(1 / np.log2(3)) / (1 + 1 / np.log2(3)), 1 / (2 + 1 / np.log2(3))]),
    ],
)
def test_three_users_by_hand(name, expected):
    """One with a hit at the second place, one with a list of one item, one who liked nothing."""
    values = RANKING_METRICS[name](score_lists(LISTS, LIKED, 3))
    np.testing.assert_allclose(values[:2], expected)
    assert np.isnan(values[2])


def test_places_beyond_k_do_not_count_and_a_gain_of_zero_is_not_relevant():
    liked = Ratings.from_arrays([0, 0, 0], [0, 1, 2], [1.0, 0.0, 1.0], n_items=4)
    scored = score_lists([[3, 1, 0, 2]], liked, k=2)
    assert scored.n_relevant.tolist() == [2]
    assert [metric(scored).tolist() for metric in RANKING_METRICS.values()] == [[0.0]] * 6


def test_with_equal_scores_the_order_of_the_list_decides():
    """`recommend` puts equal scores in the order of the ids; a list is scored as it is shown."""
    from nmf_scratch.fitted.top_n import top_n

    items, _ = top_n(np.ones((2, 1)), np.ones((4, 1)), 2)
    liked = ratings_of(np.array([[0, 1.0, 0, 0], [0, 0, 1.0, 0]]))
    np.testing.assert_array_equal(metrics.reciprocal_rank(score_lists(items, liked, 2)), [0.5, 0.0])


def test_nobody_to_score_gives_nan():
    assert np.isnan(mean_over_users(np.full(3, np.nan)))


@pytest.mark.parametrize(
    ("lists", "k", "message"),
    [
        ([[0, 1]], 2, r"shape \(3, m\)"),
        (np.zeros((3, 2)), 2, "float64"),
        ([[0], [4], [0]], 2, "codes below 4.*up to 4"),
        ([[0, 0], [0, 1], [0, 1]], 2, "twice"),
        (LISTS, 0, "k must be an integer >= 1, got 0"),
    ],
)
def test_lists_that_cannot_be_scored_are_refused(lists, k, message):
    with pytest.raises(InputError, match=message):
        score_lists(lists, LIKED, k)


def test_what_the_lists_hold_by_hand():
    lists, counts = np.array([[0, 1], [0, -1], [-1, -1]]), np.array([8, 2, 1, 0])
    assert metrics.coverage(lists, 4) == 0.5
    np.testing.assert_allclose(metrics.novelty(lists, counts, n_users=8), [1.0, 0.0, np.nan])
    np.testing.assert_allclose(metrics.average_popularity(lists, counts), [5.0, 8.0, np.nan])
    assert metrics.novelty(np.array([[3]]), counts, n_users=8).tolist() == [3.0]  # nobody rated it: counts as once


@pytest.mark.parametrize(
    ("lists", "n_items", "expected"),
    [
        ([[0], [0], [0]], 5, 1.0),
        ([[0, 1], [2, 3]], 4, 0.0),
        ([[0, 1], [0, -1]], 3, 2 / 3),  # shares 0, 1/3, 2/3
        ([[0], [0]], 1, 0.0),
        ([[-1], [-1]], 3, np.nan),
    ],
)
def test_gini_by_hand(lists, n_items, expected):
    assert metrics.gini(np.array(lists), n_items) == pytest.approx(expected, nan_ok=True)
