"""Splits by user and by time: who is held out, in which order, and what is said when that cannot be."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import model_selection as oracle

from nmf_scratch import NMF, InputError, LeaveNOut, TimeOrderedSplit, cross_validate
from nmf_scratch.evaluation.splits import Splitter, check_cv


@st.composite
def tables(draw):
    """Draw ratings of up to 8 users in any order, with few distinct timestamps."""
    users = draw(st.lists(st.integers(0, 7), min_size=1, max_size=60))
    times = draw(st.lists(st.integers(0, 9), min_size=len(users), max_size=len(users)))
    return pd.DataFrame({"user": users, "item": range(len(users)), "timestamp": times})


def assert_complete(train, test, n):
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n))
    for part in (train, test):
        assert part.dtype == np.intp
        assert (np.diff(part) > 0).all()


def only(splitter, X, **options):
    """Return the one split there is."""
    ((train, test),) = splitter.split(X, **options)
    assert_complete(train, test, len(X))
    return train, test


@given(tables(), st.integers(1, 4), st.integers(0, 2**64 - 1))
def test_leave_n_out_takes_n_of_everyone_who_has_more(frame, n, seed):
    counts = np.bincount(frame["user"], minlength=8)
    splitter = LeaveNOut(n, n_splits=3, random_state=seed)
    if not (counts > n).any():
        with pytest.raises(InputError, match=f"n={n} cannot be held out: no user has more than {n} ratings"):
            splitter.split(frame)
    else:
        splits = list(splitter.split(frame))
        assert len(splits) == splitter.get_n_splits() == 3
        for train, test in splits:
            assert_complete(train, test, len(frame))
            taken = np.bincount(frame["user"].iloc[test], minlength=8)
            np.testing.assert_array_equal(taken, np.where(counts > n, n, 0))


FRAME = pd.DataFrame({"user": list("aabbb" * 8), "item": range(40), "timestamp": range(40)})


def test_leave_n_out_draws_at_random_and_an_int_repeats():
    draws = [[test.tolist() for _, test in LeaveNOut(2, n_splits=3, random_state=s).split(FRAME)] for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert len({tuple(test) for test in draws[0]}) == 3
    seen = {position for seed in range(60) for position in only(LeaveNOut(6, random_state=seed), FRAME)[1]}
    assert seen == set(range(40))


@pytest.mark.parametrize("fresh", [lambda: None, lambda: np.random.default_rng(5)], ids=["None", "Generator"])
def test_without_an_int_each_call_draws_anew(fresh):
    splitter = LeaveNOut(6, random_state=fresh())
    assert not np.array_equal(only(splitter, FRAME)[1], only(splitter, FRAME)[1])


def naive_last(frame, size_of):
    """Positions of the last ratings of each user by (time, position), with plain lists."""
    held = []
    for _, positions in frame.reset_index(drop=True).groupby("user").groups.items():
        in_time = sorted(positions, key=lambda position: (frame["timestamp"].iloc[position], position))
        size = size_of(len(in_time))
        held += in_time[len(in_time) - size :]
    return sorted(held)


@given(tables(), st.one_of(st.integers(1, 4), st.floats(0.05, 0.95)))
def test_last_ratings_of_each_user(frame, size):
    def size_of(count):
        if isinstance(size, int):
            return size if count > size else 0
        return min(int(np.ceil(size * count)), count - 1)

    expected = naive_last(frame, size_of)
    splitter = TimeOrderedSplit(size)
    if expected:
        assert only(splitter, frame)[1].tolist() == expected
    else:
        with pytest.raises(InputError, match="no user has enough ratings"):
            splitter.split(frame)


@given(tables().filter(lambda frame: len(frame) > 3), st.one_of(st.integers(1, 3), st.floats(0.05, 0.7)))
def test_one_cut_for_all_never_trains_on_the_future(frame, size):
    train, test = only(TimeOrderedSplit(size, per_user=False), frame)
    assert len(test) == (size if isinstance(size, int) else int(np.ceil(size * len(frame))))
    assert frame["timestamp"].iloc[train].max() <= frame["timestamp"].iloc[test].min()


def test_a_cut_after_the_last_rating_is_an_error():
    with pytest.raises(InputError, match="test_size=40 cannot be held out: there are no more ratings than that"):
        TimeOrderedSplit(40, per_user=False).split(FRAME)


@pytest.mark.parametrize(
    "times",
    [
        np.arange(40)[::-1],
        pd.Series(pd.date_range("2020-01-01", periods=40)[::-1]),
        pd.Series(pd.date_range("2020-01-01", periods=40, tz="Europe/Paris")[::-1]),
        pd.Series(range(40), dtype="Int64")[::-1],
        [f"2020-01-{day:02d}" for day in range(31, 0, -1)] + ["2019-06-01"] * 9,
    ],
    ids=["numbers", "dates", "zoned dates", "nullable integers", "text"],
)
def test_numbers_and_dates_order_alike_wherever_they_are(times):
    first = only(TimeOrderedSplit(1, timestamps=times), FRAME[["user", "item"]])
    assert first[1].tolist() == [0, 2]
    frame = FRAME.assign(timestamp=np.asarray(times))
    np.testing.assert_array_equal(only(TimeOrderedSplit(1), frame)[1], [0, 2])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([np.nan, *range(39)], "1 of 40 timestamps are missing, the first at position 0"),
        (pd.Series([*pd.date_range("2020-01-01", periods=38), pd.NaT, pd.NaT]), "2 of 40 .* first at position 38"),
        (pd.Series([*range(39), None], dtype="Int64"), "1 of 40 .* first at position 39"),
        (["noon"] * 40, "timestamps must be numbers or dates, got 'noon'"),
        (range(39), "39 timestamps for 40 ratings"),
    ],
    ids=["NaN", "NaT", "NA", "text", "too few"],
)
def test_missing_or_strange_timestamps_are_refused(times, message):
    with pytest.raises(InputError, match=message):
        TimeOrderedSplit(1, timestamps=times).split(FRAME)


@pytest.mark.parametrize("X", [FRAME[["user", "item"]], FRAME[["user", "item"]].to_numpy()], ids=["frame", "array"])
def test_no_timestamps_at_all_is_an_error_with_the_remedy(X):
    with pytest.raises(InputError, match=r"pass a frame with a column 'timestamp', or TimeOrderedSplit\(timestamps"):
        TimeOrderedSplit(1).split(X)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeaveNOut(0), "n must be an integer >= 1, got 0"),
        (lambda: LeaveNOut(1, n_splits=0), "n_splits must be an integer >= 1, got 0"),
        (lambda: TimeOrderedSplit(0), "test_size must be a finite number > 0, got 0"),
        (lambda: TimeOrderedSplit(1.5), "test_size must be a finite number > 0 and <= 1, got 1.5"),
        (lambda: TimeOrderedSplit(1.0), "test_size=1.0 leaves nothing"),
        (lambda: TimeOrderedSplit(per_user="yes"), "per_user must be True or False, got 'yes'"),
    ],
)
def test_bad_arguments_are_refused_at_once(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_users_may_come_as_groups():
    X = np.zeros((40, 3))
    np.testing.assert_array_equal(
        only(LeaveNOut(1, random_state=0), X, groups=FRAME["user"])[1], only(LeaveNOut(1, random_state=0), FRAME)[1]
    )


@pytest.mark.parametrize("splitter", [LeaveNOut(2, n_splits=2, random_state=0), TimeOrderedSplit(0.3)])
def test_they_serve_as_cv_here_and_in_scikit_learn(splitter):
    frame = FRAME.assign(rating=np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 8))
    assert isinstance(splitter, Splitter)
    assert check_cv(splitter) is splitter
    model = NMF(2, max_iter=2, random_state=0)
    table = cross_validate(model, frame, cv=splitter)
    theirs = oracle.cross_val_score(
        model, frame.drop(columns="rating"), frame["rating"], cv=splitter, scoring="neg_root_mean_squared_error"
    )
    np.testing.assert_allclose(table["rmse"], -theirs)
