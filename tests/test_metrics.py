import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from nmf_scratch import InputError
from nmf_scratch.metrics import mae, rmse

PAIRS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=30)


@given(PAIRS)
def test_equal_to_scikit_learn(pairs):
    truth, predictions = np.array(pairs).T
    assert rmse(truth, predictions) == pytest.approx(root_mean_squared_error(truth, predictions), abs=1e-12)
    assert mae(truth, predictions) == pytest.approx(mean_absolute_error(truth, predictions), abs=1e-12)


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
