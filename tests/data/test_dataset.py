import numpy as np
import pandas as pd
import pytest

from nmf_scratch._check import InputError
from nmf_scratch.data.dataset import Dataset

RATINGS = pd.DataFrame({"user": [7, 7, 3], "item": ["a", "b", "a"], "rating": [1.0, 2.0, 5.0]})


def test_counts_come_from_the_ratings() -> None:
    dataset = Dataset("tiny", RATINGS)
    assert (dataset.n_ratings, dataset.n_users, dataset.n_items) == (3, 2, 2)
    assert repr(dataset) == "Dataset('tiny': 3 ratings, 2 users, 2 items)"


def test_defaults_claim_nothing() -> None:
    dataset = Dataset("tiny", RATINGS)
    assert dataset.users is None
    assert dataset.items is None
    assert dataset.test_fold is None
    assert dataset.n_duplicates == 0


def test_ratings_without_a_column_are_refused() -> None:
    with pytest.raises(InputError, match=r"ratings of 'tiny' lacks column rating; it has user, item: rename or add"):
        Dataset("tiny", RATINGS[["user", "item"]])


def test_tables_without_ids_are_refused() -> None:
    with pytest.raises(InputError, match=r"items of 'tiny' lacks column item; it has title"):
        Dataset("tiny", RATINGS, items=pd.DataFrame({"title": ["a"]}))
    with pytest.raises(InputError, match=r"users of 'tiny' lacks column user; it has age"):
        Dataset("tiny", RATINGS, users=pd.DataFrame({"age": [3]}))


def test_folds_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="test_fold has 2 entries for 3 ratings"):
        Dataset("tiny", RATINGS, test_fold=np.zeros(2, np.int8))
