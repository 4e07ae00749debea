import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.fitted.state import scale_of

RNG = np.random.default_rng(0)
CODES = RNG.permutation(20 * 12)[:150]
FRAME = pd.DataFrame({"user": CODES // 12, "item": CODES % 12 + 100, "rating": RNG.integers(1, 6, 150)})


@pytest.fixture(scope="module")
def model():
    return NMF(3, random_state=0).fit(FRAME)


@pytest.fixture(scope="module")
def folded(model):
    return model.fold_in([(103, 5), (101, 1)])


class TestResolve:
    def test_trained_folded_and_unknown_users_are_told_apart(self, model, folded):
        with pytest.warns(UserWarning, match="left out"):
            of_no_use = model.fold_in([(999, 5)])
        users = model.fitted_.resolve([4, folded, 777, of_no_use])
        assert users.known.tolist() == [True, True, False, False]
        assert users.codes.tolist() == [4, -1, -1, -1]
        assert list(users.folded) == [1]
        rows = users.rows(model.fitted_.factors.W)
        np.testing.assert_array_equal(rows[:2], [model.fitted_.factors.W[4], folded.row])

    def test_what_each_has_seen(self, model, folded):
        users = model.fitted_.resolve([folded, 4, 777])
        seen, rows = users.seen(model.fitted_.ratings.by_user)
        own = [seen.indices[seen.indptr[row] : seen.indptr[row + 1]].tolist() for row in rows[:2]]
        assert own == [[1, 3], sorted(FRAME.loc[FRAME["user"] == 4, "item"] - 100)]
        assert rows[2] == -1

    def test_predictions_in_any_company_are_those_alone(self, model, folded):
        users = [4, folded, 777, folded, 0]
        items = [100, 101, 102, 999, 999]
        together = model.predict(np.array(list(zip(users, items, strict=True)), dtype=object))
        alone = [model.predict(np.array([pair], dtype=object))[0] for pair in zip(users, items, strict=True)]
        assert together.tolist() == alone


def test_what_is_asked_once_is_worked_out_once(model):
    asked = []

    def question(fitted):
        asked.append(fitted)
        return len(fitted.W)

    assert [model.fitted_.once(question) for _ in range(2)] == [20, 20]
    assert len(asked) == 1


def test_what_was_learnt_cannot_be_changed(model):
    with pytest.raises(AttributeError):
        model.fitted_.mean_rating = 3.0


def test_the_scale_is_that_of_the_ratings_unless_given():
    ratings = Ratings.from_arrays([0, 1], [0, 1], [2.0, 4.0])
    assert scale_of(ratings, "infer") == (2, 4)
    assert scale_of(ratings, (1, 5)) == (1, 5)
