import math

import pytest

from nmf_scratch import InputError
from nmf_scratch.solvers import SGD


def test_schedules_by_hand():
    assert SGD(step=0.2, schedule="constant").step_size(7, 10) == 0.2
    assert SGD(step=0.2, schedule="inverse-time", decay=0.5).step_size(2, 10) == pytest.approx(0.1)
    assert SGD(step=0.2, schedule="cosine").step_size(0, 10) == 0.2
    assert SGD(step=0.2, schedule="cosine").step_size(5, 10) == pytest.approx(0.1)
    assert SGD(step=0.2).step_size(9, 10) == pytest.approx(0.1 * (1 + math.cos(0.9 * math.pi)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": 0}, "step must be a finite number > 0, got 0"),
        ({"step": float("nan")}, "step must be a finite number > 0, got nan"),
        ({"schedule": "cosin"}, r"schedule='cosin' is unknown \(did you mean 'cosine'\?\)"),
        ({"decay": -1}, "decay must be a finite number >= 0, got -1"),
    ],
)
def test_bad_hyper_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SGD(**arguments)
