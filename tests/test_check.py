import numpy as np
import pytest

from nmf_scratch._check import InputError, check_choice, check_number


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int64(3)])
def test_numbers_of_any_kind_pass(value):
    check_number("alpha", value, minimum=3, maximum=3)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        ("3", {}, "alpha must be a finite number, got '3'"),
        (True, {}, "got True"),
        (np.bool_(True), {}, "must be a finite number, got"),
        (float("nan"), {}, "got nan"),
        (float("inf"), {}, "got inf"),
        (2.5, {"integer": True, "minimum": 1}, "alpha must be an integer >= 1, got 2.5"),
        (0, {"minimum": 0, "exclusive": True}, "alpha must be a finite number > 0, got 0"),
        (-1, {"minimum": 0, "maximum": 2}, "alpha must be a finite number >= 0 and <= 2, got -1"),
        (3, {"maximum": 2}, "alpha must be a finite number <= 2, got 3"),
    ],
)
def test_everything_else_is_refused_with_the_bounds(value, limits, message):
    with pytest.raises(InputError, match=message):
        check_number("alpha", value, **limits)


def test_choices_are_listed_and_the_nearest_is_suggested():
    check_choice("solver", "sgd", ["mu", "sgd"])
    with pytest.raises(InputError, match=r"solver='sdg' is unknown \(did you mean 'sgd'\?\); choose one of: mu, sgd"):
        check_choice("solver", "sdg", ["sgd", "mu"])
    with pytest.raises(InputError, match=r"solver=7 is unknown; choose"):
        check_choice("solver", 7, ["sgd", "mu"])
