import numpy as np
import pytest

from nmf_scratch import InputError, Ratings
from nmf_scratch.problem.preference import Preference

STARS = Ratings.from_arrays([0, 0, 1, 1, 2], [0, 1, 0, 2, 1], [1, 2, 3, 4, 5])
SCALE = (1.0, 5.0)


def confidence(kind, values, ratings=STARS, scale=SCALE):
    return Preference.of(1.0, kind, ratings, scale).confidence(np.asarray(values, np.float32)).tolist()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("stars", [0.1, 0.2, 0.4, 1, 1.3]),
        ("auto", [0.1, 0.2, 0.4, 1, 1.3]),
        ("rating", [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3]),
        ("log", np.log([2, 3, 4, 5, 6]) / np.log(4)),
        ("threshold", [0, 0, 1, 1, 1]),
        ({5: 2, 1: 0}, [0, 0.5, 1, 1.5, 2]),
        (None, [1, 1, 1, 1, 1]),
    ],
)
def test_confidence_of_stars_by_hand(kind, expected):
    assert confidence(kind, [1, 2, 3, 4, 5]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("factor", [0.5, 2, 20])
def test_confidence_by_stars_depends_on_the_place_in_the_scale_alone(factor):
    scaled = STARS.with_values(STARS.values * np.float32(factor))
    at = np.array([1, 1.5, 2.25, 4.75])
    expected = confidence("stars", at)
    assert confidence("stars", at * factor, scaled, (factor, 5 * factor)) == pytest.approx(expected, rel=1e-6)


def test_what_lies_beyond_the_scale_counts_as_its_end():
    assert confidence("stars", [0, 9]) == pytest.approx([0.1, 1.3])


def test_counts_are_recognised_and_choices_all_count_once():
    plays = Ratings.from_arrays([0, 0, 1, 1, 2], [0, 1, 0, 2, 1], [1, 2, 3, 4, 5000])
    assert Preference.of(1.0, "auto", plays, (1, 5000)).logarithmic
    bought = STARS.with_values(np.ones(5, np.float32))
    assert confidence("auto", [1, 1], bought, (1, 1)) == [1, 1]


def test_terms_are_targets_with_weights_and_without_what_counts_for_nothing():
    terms = Preference.of(1.0, "threshold", STARS, SCALE).terms(STARS)
    assert (terms.users.tolist(), terms.items.tolist()) == ([1, 1, 2], [0, 2, 1])
    assert (terms.values.tolist(), terms.weights.tolist()) == ([1, 1, 1], [1, 1, 1])
    assert terms.shape == STARS.shape


def test_own_weights_are_multiplied():
    weighted = Ratings.from_arrays([0, 1], [0, 0], [1, 5], weights=[2, 3])
    terms = Preference.of(None, {1: 0.5, 5: 2}, weighted, SCALE).terms(weighted)
    assert terms.weights.tolist() == [1, 6]
    assert terms.values.tolist() == [1, 5]


def test_a_model_of_ratings_learns_from_the_ratings_themselves():
    assert Preference().terms(STARS) is STARS


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (0, None, "target must be a finite number > 0, got 0"),
        (1, "star", r"confidence='star' is unknown \(did you mean 'stars'\?\)"),
        (1, {}, "confidence={} says nothing"),
        (1, {5: -1}, r"confidence\[5\] must be a finite number >= 0, got -1"),
        (1, {"five": 1}, "rating in confidence must be a finite number, got 'five'"),
    ],
)
def test_mistakes_are_named(target, kind, message):
    with pytest.raises(InputError, match=message):
        Preference.of(target, kind, STARS, SCALE)


def test_ratings_of_which_none_counts_are_refused():
    with pytest.raises(InputError, match="confidence must be above 0 for some of the ratings"):
        Preference.of(1.0, {1: 0, 5: 0}, STARS, SCALE).terms(STARS)
