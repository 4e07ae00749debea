import io
import json
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from nmf_scratch import InputError, _archive
from nmf_scratch._archive import ALIGNMENT, checksum, load_arrays, replacing, restored, save_arrays, storable

ARRAYS = {
    "W": np.arange(6, dtype=np.float32).reshape(2, 3),
    "ids": np.array(["ann", "bob ü"]),
    "none": np.empty((0, 3)),
}
NAMES = tuple(ARRAYS)

scalar_types = st.sampled_from(["f4", "f8", "i4", "i8", "u1", "?", "<U4", "S3", "M8[s]"])
any_array = st_numpy.arrays(scalar_types, st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
any_label = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))


class Bomb:
    """Unpickling it fails the test."""

    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


@pytest.fixture
def file(tmp_path):
    save_arrays(tmp_path / "a.npz", ARRAYS, {"note": "häh", "numbers": [1, 2.5]})
    return tmp_path / "a.npz"


def write_version_1(path, arrays, **header):
    """Write the file that version 1 of the format wrote."""
    full = {"format": "nmf-scratch model", "format_version": 1, "checksum": checksum(arrays), **header}
    np.savez(path, header=np.frombuffer(json.dumps(full).encode(), np.uint8), **arrays)


def assert_same(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)


class TestRoundTrip:
    @pytest.mark.parametrize("mapped", [(), NAMES])
    def test_arrays_and_header_come_back(self, file, mapped):
        arrays, header = load_arrays(file, mapped=mapped)
        assert_same(arrays, ARRAYS)
        assert (header["note"], header["numbers"], header["format_version"]) == ("häh", [1, 2.5], 2)

    @given(st.dictionaries(st.from_regex(r"[A-Za-z_]{1,30}", fullmatch=True), any_array, max_size=4))
    def test_any_arrays_survive_read_or_mapped(self, tmp_path_factory, arrays):
        arrays.pop("header", None)
        path = tmp_path_factory.mktemp("any") / "a.npz"
        save_arrays(path, arrays, {})
        assert_same(load_arrays(path)[0], arrays)
        assert_same(load_arrays(path, mapped=tuple(arrays))[0], arrays)

    def test_an_array_in_another_order_of_memory_comes_back_in_c_order(self, tmp_path):
        save_arrays(tmp_path / "a.npz", {"x": np.asfortranarray(ARRAYS["W"])}, {})
        loaded = load_arrays(tmp_path / "a.npz")[0]["x"]
        np.testing.assert_array_equal(loaded, ARRAYS["W"])
        assert loaded.flags.c_contiguous

    def test_numpy_and_zip_can_read_it_and_nothing_is_compressed(self, file):
        with np.load(file, allow_pickle=False) as arrays:
            np.testing.assert_array_equal(arrays["W"], ARRAYS["W"])
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}

    def test_the_same_content_gives_the_same_bytes(self, file, tmp_path):
        save_arrays(tmp_path / "b.npz", ARRAYS, {"note": "häh", "numbers": [1, 2.5]})
        assert (tmp_path / "b.npz").read_bytes() == file.read_bytes()

    def test_the_first_version_is_read(self, tmp_path):
        write_version_1(tmp_path / "a.npz", ARRAYS, note="old")
        arrays, header = load_arrays(tmp_path / "a.npz", mapped=NAMES)
        assert_same(arrays, ARRAYS)
        assert header["note"] == "old"


class TestMapping:
    def test_mapped_arrays_are_read_only_and_aligned_and_others_are_ours(self, file):
        arrays, _ = load_arrays(file, mapped=("W",))
        assert type(arrays["W"]) is np.ndarray
        assert not arrays["W"].flags.writeable
        assert arrays["W"].ctypes.data % ALIGNMENT == 0
        assert arrays["ids"].flags.writeable

    def test_they_are_maps_of_the_file_and_not_copies(self, file):
        arrays, _ = load_arrays(file, mapped=("W",))
        content = bytearray(file.read_bytes())
        where = content.index(ARRAYS["W"].tobytes())
        with file.open("r+b") as stream:
            stream.seek(where)
            stream.write(np.float32(77).tobytes())
        assert arrays["W"][0, 0] == 77

    def test_what_is_mapped_is_not_verified_and_all_else_is(self, file):
        """As documented: whoever wants every byte verified loads the file as a whole."""
        good = file.read_bytes()
        for name, content in (("W", ARRAYS["W"].tobytes()), ("ids", ARRAYS["ids"].tobytes())):
            bad = bytearray(good)
            bad[good.index(content)] ^= 1
            file.write_bytes(bad)
            with pytest.raises(InputError, match=f"the checksum of {name} does not match"):
                load_arrays(file)
            if name == "W":
                assert load_arrays(file, mapped=("W",))[0]["W"][0, 0] != 0
            else:
                with pytest.raises(InputError, match="the checksum of ids does not match"):
                    load_arrays(file, mapped=("W",))


class TestRefusal:
    def test_a_flipped_bit_anywhere_is_noticed(self, tmp_path):
        """Also in what zip does not check: dates, padding, the directory."""
        path = tmp_path / "a.npz"
        save_arrays(path, {"W": ARRAYS["W"]}, {})
        good = path.read_bytes()
        for position in range(len(good)):
            bad = bytearray(good)
            bad[position] ^= 1 << position % 8
            path.write_bytes(bad)
            with pytest.raises(InputError, match=r"is not a model file|format version"):
                load_arrays(path)

    @given(st.data())
    def test_other_damage_is_noticed_too(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("damaged") / "a.npz"
        save_arrays(path, {"W": ARRAYS["W"]}, {})
        good = path.read_bytes()
        first = data.draw(st.integers(0, len(good)))
        last = data.draw(st.integers(first, len(good)))
        bad = good[:first] + data.draw(st.binary(max_size=20)) + good[last:]
        path.write_bytes(bad)
        if bad != good:
            with pytest.raises(InputError, match=r"is not a model file|format version"):
                load_arrays(path)

    @pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
    @pytest.mark.parametrize("mapped", [(), NAMES])
    def test_truncated_files_are_refused(self, file, share, mapped):
        good = file.read_bytes()
        file.write_bytes(good[: int(share * len(good))])
        with pytest.raises(InputError, match="is not a model file of nmf-scratch, or is damaged"):
            load_arrays(file, mapped=mapped)

    def test_foreign_files_are_refused(self, tmp_path):
        path = tmp_path / "a.npz"
        path.write_text("user,item\n")
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)
        np.savez(path, x=np.arange(3))
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)
        with path.open("wb") as stream:
            np.save(stream, np.arange(3))
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)
        write_version_1(path, ARRAYS, format="something else")
        with pytest.raises(InputError, match="is not a model file of nmf-scratch$"):
            load_arrays(path)
        np.savez(path, header=np.frombuffer(b"[1, 2]", np.uint8))
        with pytest.raises(InputError, match="is not a model file of nmf-scratch$"):
            load_arrays(path)

    def test_another_kind_of_file_is_named(self, tmp_path):
        save_arrays(tmp_path / "a.npz", ARRAYS, {}, kind="checkpoint")
        load_arrays(tmp_path / "a.npz", kind="checkpoint")
        with pytest.raises(InputError, match="is not a model file of nmf-scratch: it is a checkpoint"):
            load_arrays(tmp_path / "a.npz")

    def test_a_newer_version_is_refused(self, tmp_path):
        write_version_1(tmp_path / "a.npz", ARRAYS, format_version=99)
        with pytest.raises(InputError, match="format version 99, this package reads up to 2: upgrade"):
            load_arrays(tmp_path / "a.npz")

    def test_a_changed_number_in_a_file_of_version_1_is_noticed(self, tmp_path):
        write_version_1(tmp_path / "a.npz", {**ARRAYS, "W": ARRAYS["W"] + 1}, checksum=checksum(ARRAYS))
        with pytest.raises(InputError, match="checksum does not match"):
            load_arrays(tmp_path / "a.npz")

    def test_missing_folder_and_missing_file_are_named(self, tmp_path):
        with pytest.raises(InputError, match="there is no folder"):
            save_arrays(tmp_path / "nowhere" / "a.npz", ARRAYS, {})
        with pytest.raises(InputError, match=r"there is no model file .*a\.npz.*nmf-scratch train"):
            load_arrays(tmp_path / "a.npz")


class TestPickles:
    def test_a_pickle_is_never_opened(self, tmp_path):
        path = tmp_path / "a.npz"
        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)
        np.savez(path, header=np.array([Bomb()], dtype=object))
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)
        write_version_1(path, {}, checksum="")
        with np.load(path) as arrays:
            np.savez(path, header=arrays["header"], W=np.array([Bomb()], dtype=object))
        with pytest.raises(InputError, match="Object arrays cannot be loaded"):
            load_arrays(path)

    @pytest.mark.parametrize("mapped", [(), ("W",)])
    def test_an_array_of_objects_with_all_hashes_right_is_never_opened(self, file, monkeypatch, mapped):
        """Mapping one would take bytes of the file for the addresses of objects."""
        monkeypatch.setattr(_archive, "PLAIN_KINDS", "biufUSmMO")
        monkeypatch.setattr(_archive, "_write_members", self.write_with_objects)
        monkeypatch.setattr(_archive, "_members", lambda file, whole: {})
        save_arrays(file, {"W": np.arange(3)}, {})
        monkeypatch.undo()
        with pytest.raises(InputError, match=r"W\.npy is no plain array of object"):
            load_arrays(file, mapped=mapped)

    @staticmethod
    def write_with_objects(file, arrays):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.array([Bomb()], dtype=object), version=(1, 0))
        with zipfile.ZipFile(file, "w") as archive:
            header = io.BytesIO()
            np.lib.format.write_array(header, arrays["header"], version=(1, 0))
            archive.writestr("header.npy", header.getvalue())
            archive.writestr("W.npy", buffer.getvalue())
            archive.comment = b"-" * _archive.HEX_DIGITS


class TestReplacing:
    def test_a_failing_save_leaves_the_old_file_and_no_litter(self, file, monkeypatch):
        def full_disk(*args, **kwargs):
            raise OSError("No space left on device")

        monkeypatch.setattr(_archive.np.lib.format, "write_array", full_disk)
        with pytest.raises(OSError, match="No space left"):
            save_arrays(file, ARRAYS, {"note": "new"})
        assert load_arrays(file)[1]["note"] == "häh"
        assert list(file.parent.iterdir()) == [file]

    def test_the_name_appears_when_all_is_written(self, tmp_path):
        path = tmp_path / "a"
        with replacing(path) as stream:
            stream.write(b"all of it")
            assert not path.exists()
        assert path.read_bytes() == b"all of it"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
    def umask(self, request):
        before = os.umask(request.param)
        yield request.param
        os.umask(before)

    @pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
    def test_the_file_has_the_mode_of_any_new_file(self, tmp_path, umask):
        with replacing(tmp_path / "a"):
            pass
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask
        assert os.umask(umask) == umask  # and the process keeps its own

    @pytest.mark.skipif(os.name != "posix", reason="folders cannot be opened here")
    def test_content_and_name_are_on_the_disk_before_it_returns(self, tmp_path, monkeypatch):
        synced, sync = [], os.fsync

        def noted(descriptor):
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            synced.append((is_folder, [path.name for path in tmp_path.iterdir()] == ["a"]))
            sync(descriptor)

        monkeypatch.setattr(_archive.os, "fsync", noted)
        with replacing(tmp_path / "a") as stream:
            stream.write(b"content")
        assert synced == [(False, False), (True, True)]

    def test_a_target_that_is_a_folder_is_left_alone(self, tmp_path):
        (tmp_path / "a" / "b").mkdir(parents=True)
        with pytest.raises(OSError), replacing(tmp_path / "a"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(self, file, monkeypatch):
        """Training may write a checkpoint at any moment."""
        plain_check = _archive._check_kind

        def replace_and_check(*args):
            save_arrays(file, {**ARRAYS, "W": ARRAYS["W"] + 1}, {"note": "new"})
            plain_check(*args)

        monkeypatch.setattr(_archive, "_check_kind", replace_and_check)
        arrays, header = load_arrays(file)
        assert_same(arrays, ARRAYS)
        assert header["note"] == "häh"


class TestIds:
    @given(st.lists(any_label))
    def test_labels_of_plain_types_survive_with_their_types(self, labels):
        ids = np.empty(len(labels), dtype=object)
        ids[:] = labels
        again = restored("ids", storable("ids", ids))
        assert again.dtype == object
        assert again.tolist() == labels
        assert list(map(type, again)) == list(map(type, labels))

    def test_arrays_without_objects_are_kept_as_they_are(self):
        ids = np.array([3, 5], dtype=np.uint8)
        assert storable("ids", ids) == {"ids": ids}
        assert restored("ids", {"ids": ids}) is ids

    def test_other_objects_are_refused(self):
        with pytest.raises(InputError, match="ids of type tuple cannot be saved: convert them to text or integers"):
            storable("ids", np.array([(1, 2), None], dtype=object)[:1])
