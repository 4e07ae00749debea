"""A few hundred hostile inputs of each kind; `make test-long` tries twenty thousand."""

import pytest
from fuzz import SHARES, fuzz

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize("n_inputs", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_whatever_comes_in_a_result_or_an_input_error_comes_out(n_inputs):
    tried, findings = fuzz(n_inputs)
    assert tried == {kind: round(share * n_inputs) for kind, share in SHARES.items()}
    assert not findings
