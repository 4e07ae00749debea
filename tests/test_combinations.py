from itertools import combinations

import pytest
from combinations import pairwise


@pytest.mark.parametrize("parameters", [("ab", "cd", "ef"), ("abcd", [1, 2, 3], "xy", "uvw"), ("ab", "c")])
def test_any_two_values_meet_in_few_combinations(parameters):
    chosen = pairwise(*parameters)
    for (i, first), (j, second) in combinations(enumerate(parameters), 2):
        assert {(row[i], row[j]) for row in chosen} == {(a, b) for a in first for b in second}
    sizes = sorted(map(len, parameters))
    assert len(chosen) <= 1.5 * sizes[-1] * sizes[-2]
