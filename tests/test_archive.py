import itertools
import json
import os
import pickle
import re
import stat
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from safetensors.numpy import load_file, save_file

from nmf_scratch import InputError, _archive
from nmf_scratch._archive import load_arrays, replacing, restored, save_arrays, storable

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
    save_arrays(tmp_path / "a.safetensors", ARRAYS, {"note": "häh", "numbers": [1, 2.5]})
    return tmp_path / "a.safetensors"


def head_of(path):
    """Return a file's header as safetensors has it, and the bytes after it."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_with(path, change, *, sealed=False):
    """Write a file again after `change(content, places)`; with a seal that fits, if it is to be `sealed`."""
    places, numbers = head_of(path)
    metadata = json.loads(places.pop("__metadata__")[_archive.FORMAT])
    change(metadata["content"], places)
    if sealed:
        metadata["seal"] = _archive._seal(metadata["content"], places)
    head = json.dumps({"__metadata__": {_archive.FORMAT: json.dumps(metadata)}, **places}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + numbers)


def assert_same(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)


def read_if_accepted(path):
    """Return what is read from a file, None if it is refused in the words for that."""
    try:
        return load_arrays(path)
    except InputError as error:
        assert re.search("is not a model file|format version", str(error))
        return None


class TestRoundTrip:
    @pytest.mark.parametrize("mapped", [(), NAMES])
    def test_arrays_and_header_come_back(self, file, mapped):
        arrays, header = load_arrays(file, mapped=mapped)
        assert_same(arrays, ARRAYS)
        assert (header["note"], header["numbers"], header["format_version"]) == ("häh", [1, 2.5], 1)

    @given(st.dictionaries(st.from_regex(r"[A-Za-z_]{1,30}", fullmatch=True), any_array, max_size=4))
    def test_any_arrays_survive_read_or_mapped(self, tmp_path_factory, arrays):
        path = tmp_path_factory.mktemp("any") / "a.safetensors"
        save_arrays(path, arrays, {})
        assert_same(load_arrays(path)[0], arrays)
        assert_same(load_arrays(path, mapped=tuple(arrays))[0], arrays)

    def test_an_array_in_another_order_of_memory_comes_back_in_c_order(self, tmp_path):
        save_arrays(tmp_path / "a.safetensors", {"x": np.asfortranarray(ARRAYS["W"])}, {})
        loaded = load_arrays(tmp_path / "a.safetensors")[0]["x"]
        np.testing.assert_array_equal(loaded, ARRAYS["W"])
        assert loaded.flags.c_contiguous

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_the_library_reads_the_same_numbers(self, tmp_path, order):
        """Also of arrays that are not contiguous, which the library itself would save wrongly."""
        arrays = {"W": np.array(ARRAYS["W"], order=order), "every other": np.arange(9.0)[::2], "b": np.array(True)}
        save_arrays(tmp_path / "a", arrays, {})
        assert_same(load_file(tmp_path / "a"), {name: np.ascontiguousarray(array) for name, array in arrays.items()}
                    | {"b": arrays["b"]})  # fmt: skip

    def test_other_byte_orders_come_back_as_this_machine_has_them(self, tmp_path):
        save_arrays(tmp_path / "a", {"x": np.arange(3, dtype=">f8")}, {})
        assert_same(load_arrays(tmp_path / "a")[0], {"x": np.arange(3.0)})

    def test_objects_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="x of type object cannot be saved"):
            save_arrays(tmp_path / "a", {"x": np.array([None])}, {})
        assert list(tmp_path.iterdir()) == []

    def test_the_same_content_gives_the_same_bytes(self, file, tmp_path):
        save_arrays(tmp_path / "b.safetensors", ARRAYS, {"note": "häh", "numbers": [1, 2.5]})
        assert (tmp_path / "b.safetensors").read_bytes() == file.read_bytes()


class TestMapping:
    def test_mapped_arrays_are_read_only_and_aligned_and_others_are_ours(self, file):
        arrays, _ = load_arrays(file, mapped=("W",))
        assert type(arrays["W"]) is np.ndarray
        assert not arrays["W"].flags.writeable
        assert arrays["W"].flags.aligned
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
        """As documented: to have every byte verified, load the file as a whole."""
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
        path = tmp_path / "a"
        save_arrays(path, {"W": ARRAYS["W"], "ids": ARRAYS["ids"]}, {"note": [1, 2]})
        good = path.read_bytes()
        for position, bit in itertools.product(range(len(good)), range(8)):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            path.write_bytes(bad)
            with pytest.raises(InputError, match=r"is not a model file|format version"):
                load_arrays(path)

    def test_a_flipped_bit_in_the_header_is_noticed_when_the_numbers_are_mapped(self, tmp_path):
        path = tmp_path / "a"
        save_arrays(path, {"W": ARRAYS["W"], "H": ARRAYS["W"] + 1}, {"note": 1})
        good = path.read_bytes()
        for position, bit in itertools.product(range(len(good) - 2 * ARRAYS["W"].nbytes), range(8)):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            path.write_bytes(bad)
            with pytest.raises(InputError, match=r"is not a model file|format version"):
                load_arrays(path, mapped=("W", "H"))

    @pytest.mark.parametrize("mapped", [(), NAMES])
    def test_crafted_headers_are_refused(self, tmp_path, mapped):
        def swapped(content, places):
            places["W"]["data_offsets"], places["H"]["data_offsets"] = (places[x]["data_offsets"] for x in "HW")

        def beyond(content, places):
            places["H"]["data_offsets"] = [24, 4800]

        def overlapping(content, places):
            places["H"]["data_offsets"] = places["W"]["data_offsets"]

        def reshaped(content, places):
            places["W"]["shape"] = [3, 2]

        def renamed(content, places):
            places["V"] = places.pop("W")

        for change in (swapped, beyond, overlapping, reshaped, renamed, lambda content, places: content.update(n=2)):
            save_arrays(tmp_path / "a", {"W": ARRAYS["W"], "H": ARRAYS["W"] + 1}, {"n": 1})
            write_with(tmp_path / "a", change)
            with pytest.raises(InputError, match="is not a model file of nmf-scratch, or is damaged"):
                load_arrays(tmp_path / "a", mapped=mapped)

    @given(st.data())
    def test_other_damage_is_noticed_too(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("damaged") / "a"
        save_arrays(path, {"W": ARRAYS["W"]}, {})
        good, expected = path.read_bytes(), load_arrays(path)
        first = data.draw(st.integers(0, len(good)))
        last = data.draw(st.integers(first, len(good)))
        path.write_bytes(good[:first] + data.draw(st.binary(max_size=20)) + good[last:])
        found = read_if_accepted(path)  # other blanks at the end of the header mean nothing
        if found is not None:
            assert_same(found[0], expected[0])
            assert found[1] == expected[1]

    @pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
    @pytest.mark.parametrize("mapped", [(), NAMES])
    def test_truncated_files_are_refused(self, file, share, mapped):
        good = file.read_bytes()
        file.write_bytes(good[: int(share * len(good))])
        with pytest.raises(InputError, match="is not a model file of nmf-scratch, or is damaged"):
            load_arrays(file, mapped=mapped)

    def test_foreign_files_are_refused(self, tmp_path):
        path = tmp_path / "a"
        path.write_text("user,item\n")
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)
        with path.open("wb") as stream:
            np.savez(stream, x=np.arange(3))
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)
        for metadata in (None, {"format": "pt"}, {_archive.FORMAT: "[1, 2]"}, {_archive.FORMAT: "{}"}):
            save_file({"x": np.arange(3)}, path, metadata)
            with pytest.raises(InputError, match="is not a model file of nmf-scratch"):
                load_arrays(path)

    def test_another_kind_of_file_is_named(self, tmp_path):
        save_arrays(tmp_path / "a.safetensors", ARRAYS, {}, kind="checkpoint")
        load_arrays(tmp_path / "a.safetensors", kind="checkpoint")
        with pytest.raises(InputError, match="is not a model file of nmf-scratch: it is a checkpoint"):
            load_arrays(tmp_path / "a.safetensors")

    def test_a_newer_version_is_refused(self, file):
        write_with(file, lambda content, places: content.update(format_version=99))
        with pytest.raises(InputError, match="format version 99, this package reads up to 1: upgrade"):
            load_arrays(file)

    def test_missing_folder_and_missing_file_are_named(self, tmp_path):
        with pytest.raises(InputError, match="there is no folder"):
            save_arrays(tmp_path / "nowhere" / "a.safetensors", ARRAYS, {})
        with pytest.raises(InputError, match=r"there is no model file .*a\.safetensors.*nmf-scratch train"):
            load_arrays(tmp_path / "a.safetensors")


class TestPickles:
    def test_a_pickle_is_never_opened(self, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(InputError, match="is not a model file"):
            load_arrays(path)

    @pytest.mark.parametrize("mapped", [(), ("ids",)])
    @pytest.mark.parametrize("dtype", ["O", "O8", "V8"])
    def test_bytes_are_never_taken_for_objects(self, file, mapped, dtype):
        """Taking bytes of the file for the addresses of objects would read foreign memory."""
        write_with(file, lambda content, places: content["types"].update(ids=[dtype, [5]]), sealed=True)
        with pytest.raises(InputError, match="is not a model file of nmf-scratch, or is damaged"):
            load_arrays(file, mapped=mapped)


class TestReplacing:
    def test_a_failing_save_leaves_the_old_file_and_no_litter(self, file, monkeypatch):
        def full_disk(*args, **kwargs):
            raise OSError("No space left on device")

        monkeypatch.setattr(_archive, "_write", full_disk)
        with pytest.raises(OSError, match="No space left"):
            save_arrays(file, ARRAYS, {"note": "new"})
        assert load_arrays(file)[1]["note"] == "häh"
        assert list(file.parent.iterdir()) == [file]

    def test_drafts_of_the_living_are_left_alone(self, tmp_path):
        """Of processes of this machine it is known whether they live; others have a day."""
        living = _archive.draft(tmp_path / "a")
        theirs = tmp_path / ".a.another-machine.17.0123abcd.partial"
        old = tmp_path / ".a.another-machine.18.0123abcd.partial"
        for path in (living, theirs, old):
            path.touch()
        os.utime(old, (0, 0))
        with replacing(tmp_path / "a") as stream:
            stream.write(b"new")
        assert {path.name for path in tmp_path.iterdir()} == {"a", living.name, theirs.name}

    @pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody can tell who lives")
    def test_a_link_that_a_killed_process_left_is_swept_and_what_it_leads_to_stays(self, tmp_path):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "model").touch()
        own = _archive.draft(tmp_path / "latest").name.replace(f".{os.getpid()}.", f".{process.pid}.")
        (tmp_path / own).symlink_to("run", target_is_directory=True)
        _archive.sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert (tmp_path / "run" / "model").exists()

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

    def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_is_then(self, file, monkeypatch):
        """Training may write a checkpoint at any moment."""
        genuine, replaced = _archive.safe_open, []

        def replace_and_open(*args, **kwargs):
            if not replaced:
                replaced.append(True)
                save_arrays(file, {**ARRAYS, "W": ARRAYS["W"] + 1}, {"note": "new"})
            return genuine(*args, **kwargs)

        monkeypatch.setattr(_archive, "safe_open", replace_and_open)
        arrays, header = load_arrays(file, mapped=("W",))
        assert_same(arrays, {**ARRAYS, "W": ARRAYS["W"] + 1})
        assert header["note"] == "new"


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
