"""From a file to arrays: read, encode, build both views. Each result is checked before it is timed."""

import numpy as np
import pytest

from nmf_scratch import LabelEncoder, Ratings
from nmf_scratch.readers.text import parse_ratings


@pytest.mark.benchmark(group="reading")
def bench_read_csv(per_second, million, million_lines):
    assert len(parse_ratings(million_lines)) == len(million)
    per_second(lambda: parse_ratings(million_lines), len(million), "ratings")


@pytest.mark.benchmark(group="encoding")
@pytest.mark.parametrize("kind", ["int", "text"])
def bench_encode(per_second, million, kind):
    labels = million.users[np.random.default_rng(0).permutation(len(million))] * 7 + 3
    labels = labels if kind == "int" else np.array([f"user-{label}" for label in labels], dtype=object)
    codes = LabelEncoder().fit_transform(labels)
    assert (LabelEncoder().fit(labels).inverse_transform(codes) == labels).all()
    per_second(lambda: LabelEncoder().fit_transform(labels), len(million), "ratings")


@pytest.mark.benchmark(group="views")
def bench_sort_and_views(per_second, million):
    order = np.random.default_rng(0).permutation(len(million))
    arrays = (million.users[order], million.items[order], million.values[order])

    def build():
        ratings = Ratings.from_arrays(*arrays, n_users=million.n_users, n_items=million.n_items)
        return ratings.by_user, ratings.by_item

    for built, known in zip(build(), (million.by_user, million.by_item), strict=True):
        np.testing.assert_array_equal(built.indices, known.indices)
    per_second(build, len(million), "ratings")
