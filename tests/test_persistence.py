import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from nmf_scratch import InputError, persistence
from nmf_scratch.persistence import checksum, load_arrays, save_arrays, storable

ARRAYS = {"W": np.arange(6, dtype=np.float32).reshape(2, 3), "ids": np.array(["ann", "bob ü"])}


def test_round_trip(tmp_path):
    save_arrays(tmp_path / "a.npz", ARRAYS, {"note": "häh", "numbers": [1, 2.5]})
    arrays, header = load_arrays(tmp_path / "a.npz")
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert (header["note"], header["numbers"], header["format_version"]) == ("häh", [1, 2.5], 1)


@given(st_numpy.arrays(st.sampled_from([np.float32, np.int64, np.dtype("<U4")]), st.integers(0, 5)))
def test_any_array_survives(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("any") / "a.npz"
    save_arrays(path, {"x": array}, {})
    np.testing.assert_array_equal(load_arrays(path)[0]["x"], array)


def test_a_failing_save_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    save_arrays(path, ARRAYS, {"version": "old"})

    def full_disk(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(persistence.np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_arrays(path, ARRAYS, {"version": "new"})
    assert load_arrays(path)[1]["version"] == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_and_missing_file_are_named(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        save_arrays(tmp_path / "nowhere" / "a.npz", ARRAYS, {})
    with pytest.raises(InputError, match=r"there is no model file .*a\.npz.*nmf-scratch train"):
        load_arrays(tmp_path / "a.npz")


def test_truncated_tampered_foreign_and_newer_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, ARRAYS, {})
    good = path.read_bytes()

    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match="is not a model file of nmf-scratch, or is damaged"):
        load_arrays(path)
    path.write_text("user,item\n")
    with pytest.raises(InputError, match="is not a model file"):
        load_arrays(path)
    np.savez(path, x=np.arange(3))
    with pytest.raises(InputError, match="is not a model file"):
        load_arrays(path)
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(InputError, match="is not a model file"):
        load_arrays(path)


def test_a_changed_number_and_a_newer_format_are_noticed(tmp_path):
    path = tmp_path / "a.npz"

    def write(arrays, **header):
        full = {"format": persistence.FORMAT, "format_version": 1, "checksum": checksum(ARRAYS), **header}
        np.savez(path, header=np.frombuffer(json.dumps(full).encode(), np.uint8), **arrays)

    write(ARRAYS)
    load_arrays(path)
    write({**ARRAYS, "W": ARRAYS["W"] + 1})
    with pytest.raises(InputError, match="checksum does not match"):
        load_arrays(path)
    write(ARRAYS, format_version=99)
    with pytest.raises(InputError, match="format version 99, this package reads up to 1: upgrade"):
        load_arrays(path)
    write(ARRAYS, format="something else")
    with pytest.raises(InputError, match="is not a model file of nmf-scratch$"):
        load_arrays(path)


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was executed",))

    path = tmp_path / "a.npz"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="is not a model file"):
        load_arrays(path)
    np.savez(path, header=np.array([Bomb()], dtype=object))
    with pytest.raises(InputError, match="is not a model file"):
        load_arrays(path)


def test_text_ids_become_fixed_width_and_other_objects_are_refused():
    assert storable(np.array(["a", "bcd"], dtype=object)).dtype == np.dtype("<U3")
    assert storable(np.array([1, 2])).dtype == np.int64
    with pytest.raises(InputError, match="ids of type tuple cannot be saved: convert them to text or integers"):
        storable(np.array([(1, 2), None], dtype=object)[:1])
