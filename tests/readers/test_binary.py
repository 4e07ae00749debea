import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmf_scratch import InputError, load_dataset
from nmf_scratch.readers.binary import narrowed, read_binary, write_npz
from nmf_scratch.readers.sniffing import Layout
from nmf_scratch.readers.text import parse_ratings

TABLE = {"user": [7, 7, 3], "item": ["a", "b", "a"], "rating": [1.0, 2.5, 5.0], "timestamp": [5, 6, 2**40]}
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)


@pytest.fixture(params=[".npz", ".parquet"])
def save(request, tmp_path):
    """Write columns to a binary table, as people would, and return its path."""

    def _save(**columns):
        path = tmp_path / f"ratings{request.param}"
        if request.param == ".npz":
            np.savez(path, **{name: np.asarray(column) for name, column in columns.items()})
        else:
            pytest.importorskip("pyarrow")
            pd.DataFrame(columns).to_parquet(path)
        return path

    return _save


def test_a_table_is_read_like_text(save, tmp_path):
    text = tmp_path / "ratings.csv"
    pd.DataFrame(TABLE).to_csv(text, index=False)
    path = save(**TABLE)
    pd.testing.assert_frame_equal(parse_ratings(path), parse_ratings(text))
    dataset = load_dataset(path)
    assert (dataset.name, dataset.n_ratings) == ("ratings", 3)


def test_narrow_types_become_wide_ones(save):
    path = save(user=np.uint8([1, 2]), item=np.int16([3, 4]), rating=np.float32([0.5, 3]), timestamp=np.int32([5, 6]))
    assert parse_ratings(path).dtypes.map(str).tolist() == ["int64", "int64", "float64", "int64"]
    assert parse_ratings(save(**{**TABLE, "rating": [1, 2, 3]}))["rating"].tolist() == [1.0, 2.0, 3.0]


def test_ids_too_long_for_64_bits_are_text(save):
    assert parse_ratings(save(**{**TABLE, "user": np.uint64([2**63, 1, 2])}))["user"].tolist()[0] == str(2**63)


def test_well_known_and_given_names(save):
    path = save(movieId=TABLE["item"], userId=TABLE["user"], stars=TABLE["rating"], points=[3.0, 2.0, 1.0])
    assert parse_ratings(path)["rating"].tolist() == TABLE["rating"]
    chosen = parse_ratings(path, Layout({"user": "userId", "item": "movieId", "rating": "points"}))
    assert chosen.to_dict("list") == {"user": [7, 7, 3], "item": ["a", "b", "a"], "rating": [3.0, 2.0, 1.0]}


def test_moments_become_unix_seconds(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    moments = pd.to_datetime(["1970-01-02", "1970-01-03", "1970-01-04"])
    pd.DataFrame({**TABLE, "timestamp": moments}).to_parquet(path)
    assert parse_ratings(path)["timestamp"].tolist() == [86_400, 172_800, 259_200]


def test_categories_are_what_they_stand_for(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pd.DataFrame(TABLE).astype({"item": "category", "user": "category"}).to_parquet(path)
    pd.testing.assert_frame_equal(read_binary(path), pd.DataFrame(TABLE))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rating": [1.0, np.nan, -1.0]}, "row 1: rating is not a finite number"),
        ({"rating": [1.0, 2.0, np.inf]}, "row 2: rating is not a finite number"),
        ({"rating": [1.0, -2.0, np.inf]}, "row 1: rating is negative"),
        ({"rating": ["1", "2", "x"]}, "row 2: rating is not a finite number"),
        ({"item": ["a", "", "b"]}, "row 1: item is missing"),
        ({"timestamp": ["2001-01-01", "soon", "later"]}, "row 1: timestamp is neither a number nor a date"),
        ({"user": [1.5, 2.0, 3.0]}, "user must be integers or text, got float64; convert it"),
        ({"item": [True, False, True]}, "item must be integers or text, got bool; convert it"),
    ],
)
def test_what_is_wrong_is_named(save, columns, message):
    with pytest.raises(InputError, match=message):
        parse_ratings(save(**{**TABLE, **columns}))


def test_bad_rows_are_left_out_and_told(save):
    told = []
    columns = {"user": ["a", "NULL", "b"], "rating": [1.0, 2.0, np.nan]}
    ratings = parse_ratings(save(**{**TABLE, **columns}), told=told.append)
    assert ratings["user"].tolist() == ["a"]
    assert len(told) == 1
    assert "row 1: user is NULL, NA or the like: not known (2 bad of 3): left out" in told[0]
    with pytest.raises(InputError, match="row 0: rating is negative .*; none can be read"):
        parse_ratings(save(**{**TABLE, "rating": [-1.0, -1.0, -1.0]}), told=told.append)


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("nmf_scratch.readers.files.SMALL_BYTES", 2**16)
    np.savez_compressed(tmp_path / "a.npz", user=np.ones(10**6), item=np.ones(10**6), rating=np.ones(10**6))
    with pytest.raises(InputError, match="unpacks to more than 100 times its"):
        parse_ratings(tmp_path / "a.npz")


def test_missing_columns_are_named(save):
    with pytest.raises(InputError, match=r"cannot tell which column of .* is the item; it has: user, rating; pass"):
        parse_ratings(save(user=[1], rating=[2.0]))
    with pytest.raises(InputError, match="is the user and the item and the rating; it has: a, b, c; pass"):
        parse_ratings(save(a=[1], b=[2], c=[2.0]))


def test_a_missing_text_id_in_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pd.DataFrame({**TABLE, "item": ["a", None, "b"]}).to_parquet(path)
    with pytest.raises(InputError, match="row 1: item is missing"):
        parse_ratings(path)


def test_columns_of_different_lengths(tmp_path):
    np.savez(tmp_path / "a.npz", user=[1, 2], item=[3, 4], rating=[1.0])
    with pytest.raises(InputError, match=r"columns of different lengths: \{'user': 2, 'item': 2, 'rating': 1\}"):
        parse_ratings(tmp_path / "a.npz")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", user=np.array([1, "x"], object), item=[3, 4], rating=[1.0, 2.0])
    with pytest.raises(InputError, match=r"is no complete \.npz of plain arrays .*; write it again"):
        parse_ratings(tmp_path / "a.npz")


@pytest.mark.parametrize("damage", [lambda raw: raw[:-40], lambda raw: raw[: len(raw) // 2], lambda raw: b"no table"])
def test_damaged_files(save, damage):
    path = save(**TABLE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"is no complete .*; write it again"):
        parse_ratings(path)


def test_parquet_without_pyarrow_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        InputError, match=r'a\.parquet is a Parquet file, which needs pyarrow: .*"nmf-scratch\[parquet\]"'
    ):
        parse_ratings(tmp_path / "a.parquet")


def test_pyarrow_is_not_loaded_for_other_files(tmp_path):
    np.savez(tmp_path / "a.npz", user=[1], item=[3], rating=[1.0])
    path = str(tmp_path / "a.npz")
    script = f"import nmf_scratch.readers.binary as b, pathlib; b.read_binary(pathlib.Path({path!r}))"
    check = "import sys; sys.modules['pyarrow'] = None\n" + script
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9), st.lists(_TEXT, min_size=1, max_size=9)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=IDS, ratings=st.lists(st.floats(0, 1e300), min_size=9, max_size=9))
def test_what_was_written_is_read_back(tmp_path, ids, ratings):
    frame = pd.DataFrame({"user": ids, "item": ids[::-1], "rating": ratings[: len(ids)]})
    with (tmp_path / "a.npz").open("wb") as file:
        write_npz(file, frame)
    pd.testing.assert_frame_equal(read_binary(tmp_path / "a.npz"), frame)


def test_only_what_survives_is_narrowed():
    assert narrowed(np.array([1, 2**31 - 1])).dtype == np.int32
    assert narrowed(np.array([1, 2**31])).dtype == np.int64
    assert narrowed(np.array([0.5, 3.5])).dtype == np.float32
    assert narrowed(np.array([0.1])).dtype == narrowed(np.array([1e300])).dtype == np.float64
