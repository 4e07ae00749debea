"""What a search tries: inside the space, without repeats, possible, and the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmf_scratch import NMF, InputError
from nmf_scratch.evaluation.tuning import SPACE, make_candidates
from nmf_scratch.solvers import SGD, SOLVERS


def draw(space, n=20, seed=0, model=None):
    return make_candidates(model or NMF(random_state=0), space, n, seed)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_candidates_lie_in_the_space_and_are_possible_and_distinct(seed, n):
    found = draw(SPACE, n, seed)
    assert len(found) == n
    assert all(list(candidate) == list(SPACE) for candidate in found)
    for candidate in found:
        low, high = SPACE["alpha"]
        assert low <= candidate["alpha"] <= high
        assert candidate["alpha"] == float(f"{candidate['alpha']:.3g}")  # what is printed is what was run
        assert candidate["solver"] in SPACE["solver"]
        smallest, largest = SOLVERS[candidate["solver"]].losses
        assert smallest <= candidate["loss"] <= largest
    assert len({tuple(candidate.values()) for candidate in found}) == n


def test_a_seed_repeats_and_more_candidates_keep_the_first():
    assert draw(SPACE, 10) == draw(SPACE, 30)[:10]
    assert draw(SPACE, 10) != draw(SPACE, 10, seed=1)


def test_ranges_are_logarithmic_and_whole_between_whole_bounds():
    found = draw({"alpha": (0.001, 1.0), "n_components": (2, 64)}, 400)
    alphas, ranks = (np.array([candidate[name] for candidate in found]) for name in ("alpha", "n_components"))
    assert np.mean(alphas < 0.0316) == pytest.approx(0.5, abs=0.08)
    assert ranks.dtype.kind == "i"
    assert (ranks.min(), ranks.max()) == (2, 64)
    assert np.mean(ranks < 11) == pytest.approx(0.5, abs=0.08)


def test_a_grid_is_all_possible_combinations():
    found = draw({"solver": ["sgd", "mu"], "loss": [2.0, 1.0], "n_components": [3, 4]}, None)
    expected = [("sgd", 2.0, 3), ("sgd", 2.0, 4), ("mu", 2.0, 3), ("mu", 2.0, 4), ("mu", 1.0, 3), ("mu", 1.0, 4)]
    assert [tuple(candidate.values()) for candidate in found] == expected


def test_a_small_space_gives_fewer_candidates_than_asked_for():
    found = draw({"n_components": [3, 4, 5]}, 20)
    assert sorted(candidate["n_components"] for candidate in found) == [3, 4, 5]


def test_solvers_may_be_objects():
    assert len(draw({"solver": [SGD(), "als"], "loss": [2.0]}, None)) == 2


@pytest.mark.parametrize(
    ("space", "n", "message"),
    [
        ({"rank": [3]}, 5, "parameter to search='rank' is unknown"),
        ({"n_components": 3}, 5, r"space\['n_components'\] must be a list of choices or a range \(low, high\), got 3"),
        ({"n_components": []}, 5, "must be a list of choices or a range"),
        ({"alpha": (0.0, 1.0)}, 5, r"space\['alpha'\] must be a finite number > 0, got 0.0"),
        ({"alpha": (0.2, 0.1)}, 5, "with low < high"),
        ({"alpha": (0.1, 0.2, 0.3)}, 5, "with low < high"),
        ({"alpha": (0.1, 0.2)}, None, r"is a range; a grid \(n_candidates=None\) needs a list"),
        ({"solver": ["sgd"], "loss": [1.0]}, 5, "no candidate is possible"),
        ({"solver": ["sdg"]}, 5, "solver='sdg' is unknown"),
        ({"alpha": [-1.0]}, 5, "alpha must be a finite number >= 0"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space, n, message):
    with pytest.raises(InputError, match=message):
        draw(space, n)
