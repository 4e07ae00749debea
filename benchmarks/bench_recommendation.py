"""Top-10 lists for a thousand users over four thousand items, seen items left out."""

import numpy as np
import pytest

from nmf_scratch.factors import scaled_start
from nmf_scratch.recommendation import rows_of, top_n


@pytest.mark.benchmark(group="top-n")
def bench_top_ten(per_second, million):
    factors = scaled_start(million, 16, key=0)
    users = np.arange(1000)
    seen = rows_of(million.by_user, users)

    def lists():
        return list(top_n(factors.W[users], factors.H, 10, seen=seen))

    for user, (items, _) in enumerate(lists()):
        assert not set(items) & set(million.items[million.users == user]) if user < 20 else True
    per_second(lists, len(users), "users")
