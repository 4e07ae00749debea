import numpy as np
import pytest

from nmf_scratch.fitted.similarity import SUPPORT, directions, diversified, most_similar
from nmf_scratch.fitted.top_n import NONE


def naive_mmr(scores, H, n, diversity):
    relevance = (scores - scores.min()) / (np.ptp(scores) or 1)
    cosine = directions(H) @ directions(H).T
    picked = []
    while len(picked) < min(n, len(H)):
        left = [i for i in range(len(H)) if i not in picked]
        gains = [
            (1 - diversity) * relevance[i] - diversity * max((cosine[i, j] for j in picked), default=0) for i in left
        ]
        picked.append(left[int(np.argmax(gains))])
    return picked


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("n", [1, 4, 30])
def test_mmr_equals_its_definition(diversity, n):
    rng = np.random.default_rng(1)
    H, scores = rng.random((12, 3)), np.sort(rng.random(12))[::-1]
    items = rng.permutation(40)[:12]
    table = np.zeros((40, 3))
    table[items] = H
    assert diversified(items, scores, table, n, diversity).tolist() == naive_mmr(scores, H, n, diversity)


def test_mmr_by_hand_passes_over_the_twin_of_the_best():
    H = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    scores = np.array([5.0, 4.9, 4.0])
    assert diversified(np.arange(3), scores, H, 2, 0.0).tolist() == [0, 1]
    assert diversified(np.arange(3), scores, H, 2, 0.6).tolist() == [0, 2]


def test_mmr_of_short_and_empty_pools():
    H = np.eye(3)
    assert diversified(np.array([2, NONE, NONE]), np.array([1.0, -np.inf, -np.inf]), H, 3, 0.5).tolist() == [0]
    assert diversified(np.array([NONE]), np.array([-np.inf]), H, 3, 0.5).tolist() == []
    assert diversified(np.arange(3), np.ones(3), H, 2, 0.0).tolist() == [
        0,
        1,
    ]  # equal scores are no reason to divide by 0


def test_cosines_ignore_length_and_survive_rows_of_zeros():
    others = np.array([[1.0, 1.0], [3.0, 0.0], [0.0, 0.0], [0.5, 0.4]])
    counts, allowed = np.full(4, SUPPORT), np.array([True, True, True, False])
    codes, similarities = most_similar(np.array([10.0, 0.0]), others, 4, counts, allowed=allowed)
    assert codes.tolist() == [1, 0, 2]
    np.testing.assert_allclose(similarities, [0.5, np.sqrt(0.5) / 2, 0.0])  # half of the cosines is believed


def test_what_is_close_in_another_model_too_comes_first():
    others, many = np.array([[1.0, 0.1], [1.0, 0.2], [1.0, 0.3]]), np.full(3, 10**9)
    alone, _ = most_similar(np.array([1.0, 0.0]), others, 3, many, allowed=np.ones(3, bool))
    both, similarities = most_similar(
        np.array([1.0, 0.0]), others, 3, many, allowed=np.ones(3, bool), beside=np.array([0.5, 0.9, 0.0])
    )
    assert (alone.tolist(), both.tolist()) == ([0, 1, 2], [1, 0, 2])
    expected = [0.81 / np.sqrt(1.04), 0.25 / np.sqrt(1.01), 0.0]
    np.testing.assert_allclose(similarities, expected, rtol=1e-6, atol=1e-12)


def test_a_row_of_few_ratings_is_less_similar_than_one_of_many():
    others = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]])
    codes, similarities = most_similar(np.array([1.0, 0.0]), others, 3, np.array([2, 500, 0]), allowed=np.ones(3, bool))
    assert codes.tolist() == [1, 0, 2]
    np.testing.assert_allclose(similarities, [500 / 520 / np.sqrt(1.01), 2 / 22, 0.0])
